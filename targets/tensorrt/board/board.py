"""Compares this board with the one that the artefact was compiled for, before anything is built or loaded."""

import os
import signal
import subprocess
import sys
from typing import Any, Dict, List, NamedTuple

from . import facts, machine
from .cuda import Cuda
from .failure import Failure, with_log
from .settings import Settings

PROGRAM = "build_engine.py"


class Board(NamedTuple):
    """Properties of this board; `facts` are those of an engine that is built here."""

    cuda: Cuda
    facts: Dict[str, Any]
    machine: Dict[str, Any]
    warnings: List[str]


def look(settings: Settings) -> Board:
    """Read the properties of this board.

    Raises:
        Failure: It has no or an older TensorRT, no CUDA runtime, or files of the artefact were altered.
    """
    local = facts.check_tensorrt()
    newer = facts.check_version(settings, local)
    cuda = Cuda()
    state, sm = machine.read_machine(), cuda.sm()
    return Board(
        cuda,
        facts.facts_of(settings, local, sm, state.model),
        dict(state._asdict(), sm=sm),
        ([newer] if newer else []) + machine.warnings_for(settings, state, sm),
    )


def build_in_child(folder: str, *options: str) -> None:
    """Build the engine of the artefact `folder` in another process.

    In this way the builder's memory is freed, and a kill by the kernel for lack of memory is noticed.

    Raises:
        Failure: The build failed, crashed or was killed.
    """
    script = os.path.join(folder, PROGRAM)
    process = subprocess.Popen([sys.executable, script, "--in-this-process", *options], stderr=subprocess.PIPE)
    said = process.communicate()[1].decode("utf-8", "replace").strip()
    code = process.returncode
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code == -signal.SIGKILL:
        raise Failure(
            "the build was killed, most likely for lack of memory: stop the desktop (sudo systemctl isolate "
            "multi-user.target), close programs, or add swap, then run again."
        )
    if code < 0:
        raise Failure(with_log("the build crashed with signal {} inside TensorRT.".format(-code), said.splitlines()))
    if code:
        raise Failure(said.replace(PROGRAM + ": ", "", 1) or "the build ended with code {}.".format(code))
