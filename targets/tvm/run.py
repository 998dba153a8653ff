"""Execution of an artefact on this machine: in-process, by `edgec-run`, or by `edgec-run` under an emulator."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgec.errors import CannotRunHere
from edgec.targets.base import RunContext, Runner
from edgec.targets.board import Board
from edgec.targets.tvm.batch import BatchRunner
from edgec.targets.tvm.cpu_flags import machine_flags
from edgec.targets.tvm.run_process import ProcessRunner

SYSROOTS = {"aarch64": (Path("/usr/aarch64-linux-gnu"), "qemu-user libc6-arm64-cross libstdc++6-arm64-cross")}
"""Per architecture: where Debian and Ubuntu install its C and C++ libraries, and the packages to install."""


def open_artefact(context: RunContext) -> Runner:
    """Load an artefact; see `edgec.targets.base.Target.open`."""
    runner = _open_single(replace(context, folder=Path(os.path.realpath(context.folder))))
    largest = context.runtime.get("batch", 1)
    return BatchRunner(runner, largest) if largest > 1 else runner


def _open_single(context: RunContext) -> Runner:
    runtime = context.runtime
    present = machine_flags()
    lacking = [flag for flag in runtime["cpu_flags"] if present and flag not in present]
    if runtime["architecture"] != platform.machine() or lacking:
        return ProcessRunner(context, _emulator(context.board, runtime["architecture"], lacking))
    if _in_process(runtime):
        from edgec.targets.tvm.run_native import NativeRunner  # noqa: PLC0415

        return NativeRunner(context)
    return ProcessRunner(context)


def _in_process(runtime: Mapping[str, Any]) -> bool:
    """Whether the TVM installed here is the one that compiled the artefact: their formats may differ."""
    try:
        same = version("apache-tvm") == runtime["tvm"] and version("apache-tvm-ffi") == runtime["tvm_ffi"]
    except PackageNotFoundError:
        return False
    return same and importlib.util.find_spec("tvm") is not None


def _emulator(board: Board, architecture: str, lacking: list[str]) -> tuple[str, ...]:
    reason = f"its CPU lacks {', '.join(lacking[:4])}" if lacking else f"its CPU is {platform.machine()}"
    problem = f"this machine cannot run an artefact for {board.name}: {reason}"
    if board.emulator_cpu is None or architecture not in SYSROOTS:
        raise CannotRunHere(problem, remedy="Run it on the board, or compile for this machine: --target host.")
    sysroot, packages = SYSROOTS[architecture]
    emulator = shutil.which(f"qemu-{architecture}")
    library_folder = Path("/") if architecture == platform.machine() else sysroot
    complete = architecture == platform.machine() or (sysroot / "lib" / "libstdc++.so.6").exists()
    if emulator is None or not complete:
        what = "the emulator qemu-user" if emulator is None else f"the libraries in {sysroot}"
        raise CannotRunHere(f"{problem}, and {what} is not installed", remedy=f"sudo apt-get install {packages}")
    return (emulator, "-cpu", board.emulator_cpu, "-L", str(library_folder))
