"""`edgec doctor`: shows which back ends and tools are installed, and the command that installs a missing one."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table
from rich.text import Text

from edgec.cli.console import Json, print_json, stdout
from edgec.extras import install

ARM_SYSROOT = Path("/usr/aarch64-linux-gnu")


@dataclass(frozen=True)
class Check:
    """One tool that edgec can use: its installed version (None: missing), its purpose, and how to install it."""

    name: str
    found: str | None
    purpose: str
    install: str | None


def checks() -> list[Check]:
    """Look for every tool that edgec can use on this machine."""
    tvm, cross = install("tvm"), "apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross"
    sysroot = str(ARM_SYSROOT) if (ARM_SYSROOT / "lib" / "libstdc++.so.6").exists() else None
    return [
        Check("onnxruntime", _package("onnxruntime"), "reference outputs", "pip install onnxruntime"),
        Check("apache-tvm", _package("apache-tvm"), "CPU targets: compiling, running here", tvm),
        Check("apache-tvm-ffi", _package("apache-tvm-ffi"), "CPU targets: runner", tvm),
        Check("ziglang", _package("ziglang"), "CPU targets: linking for the board", tvm),
        Check("qemu-aarch64", shutil.which("qemu-aarch64"), "running ARM artefacts here", cross),
        Check("ARM libraries", sysroot, "running ARM artefacts here", cross),
        Check(
            "llvm-mca", _model_of_cores(), "times of ARM boards: edgec bench --emulate-time", "apt-get install llvm-19"
        ),
        Check("tensorrt", _package("tensorrt"), "Jetson targets: only on the board itself", None),
        Check("asyncssh", _package("asyncssh"), "edgec deploy: boards over SSH", install("ssh")),
        Check("cmake", shutil.which("cmake"), "building the C++ example", "apt-get install cmake g++"),
    ]


def command(json: Json = False) -> None:
    """Show which back ends and tools are present, with versions, and how to install what is missing."""
    found = checks()
    if json:
        print_json([asdict(check) for check in found])
        return
    table = Table("", "tool", "installed", "used for", box=None, pad_edge=False)
    for check in found:
        table.add_row(
            Text("✓", "green") if check.found else Text("–", "yellow"),
            check.name,
            check.found or "missing",
            check.purpose,
        )
    stdout.print(table)
    for line in dict.fromkeys(check.install for check in found if check.install and not check.found):
        names = ", ".join(check.name for check in found if check.install == line and not check.found)
        stdout.print(f"to add {names}: {line}", highlight=False, markup=False)


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _model_of_cores() -> str | None:
    from edgec.errors import MissingDependency
    from edgec.targets.tvm.emulated.mca import find_tools

    try:
        return find_tools().mca
    except MissingDependency:
        return None
