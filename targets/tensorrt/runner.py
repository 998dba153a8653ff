"""Runs the engine of an artefact on this machine, if this machine is the board."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.errors import CannotRunHere
from edgec.model.signature import TensorSpec, check_feeds
from edgec.targets.board import Board
from edgec.targets.tensorrt.board.failure import Failure

if TYPE_CHECKING:
    from edgec.targets.tensorrt.board.session import Session

Array = np.ndarray[Any, Any]


class TensorRTRunner:
    """A loaded engine: numpy in, numpy out."""

    def __init__(
        self, session: Session, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], description: str
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.description = description
        self._session = session

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference: input name -> array of the input's shape and dtype, output name -> array.

        Raises:
            BadOption: An input is missing, unknown, or has the wrong shape or dtype.
        """
        self._feed(feeds)
        self._session.run()
        return {
            spec.name: buffer.host.astype(spec.dtype)
            for spec, buffer in zip(self.outputs, self._session.outputs, strict=True)
        }

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the wall time of each of `runs` inferences, copies included, in seconds, after `warmup` more."""
        self._feed(feeds)
        times = []
        for _ in range(warmup + runs):
            started = time.perf_counter()
            self._session.run()
            times.append(time.perf_counter() - started)
        return times[warmup:]

    def _feed(self, feeds: Mapping[str, Array]) -> None:
        check_feeds(feeds, self.inputs)
        for spec, buffer in zip(self.inputs, self._session.inputs, strict=True):
            buffer.host[...] = feeds[spec.name]


def open_engine(
    folder: Path, board: Board, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> TensorRTRunner:
    """Load the engine in `folder`, built first where there is none that fits this machine.

    Raises:
        CannotRunHere: This machine is not the board, or TensorRT fails on it.
    """
    remedy = f"Copy {folder} to the board and run ./build.sh there."
    if platform.machine() != board.architecture:
        raise CannotRunHere(f"{board.name} is {board.architecture}, this machine {platform.machine()}", remedy=remedy)
    try:
        return _open(folder, inputs, outputs)
    except Failure as failure:
        raise CannotRunHere(f"this machine is not {board.name}: {failure}", remedy=remedy) from failure


def _open(folder: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> TensorRTRunner:
    # Here, not above: what these modules load exists on a board only.
    from edgec.targets.tensorrt.board import cuda, engine, machine, session, settings  # noqa: PLC0415

    trt = engine.import_tensorrt()
    wanted = settings.read_settings(str(folder))
    engine.check_version(wanted, trt.__version__)
    device = cuda.Cuda()
    facts = engine.facts_of(wanted, trt.__version__, device.sm(), machine.read_machine().model)
    if engine.why_not_usable(wanted, facts) is not None:
        built = subprocess.run(
            [sys.executable, str(folder / "build_engine.py"), "--build-only"],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise Failure(built.stderr.strip() or f"the build ended with code {built.returncode}")
    where = f"TensorRT {trt.__version__} on sm_{facts['sm']}"
    return TensorRTRunner(session.Session(trt, device, wanted), inputs, outputs, where)
