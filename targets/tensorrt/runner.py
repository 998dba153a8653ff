"""Runs the engine of an artefact on this machine, if this machine is the board."""

from __future__ import annotations

import os
import platform
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.errors import CannotRunHere
from edgec.model.signature import TensorSpec, check_feeds
from edgec.targets.base import Closing, RunContext, closed
from edgec.targets.tensorrt.board import facts
from edgec.targets.tensorrt.board.failure import Failure

if TYPE_CHECKING:
    from edgec.targets.tensorrt.board.runner import Engine

Array = np.ndarray[Any, Any]


class TensorRTRunner(Closing):
    """A loaded engine: numpy in, numpy out."""

    def __init__(self, engine: Engine, context: RunContext, description: str) -> None:
        self.inputs = context.inputs
        self.outputs = context.outputs
        self.description = description
        self._loaded: Engine | None = engine
        self._folder, self._process = context.folder, os.getpid()
        self._release = weakref.finalize(self, _close, engine, self._process)
        self._release.atexit = False

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference: input name -> array of the input's dtype, in its shape or one in the compiled range.

        Returns:
            Output name -> array.

        Raises:
            BadOption: An input is missing, unknown, or has the wrong shape or dtype.
            CannotRunHere: TensorRT fails, for want of memory for example.
        """
        arrays = self._checked(feeds)
        with _failures_told():
            return self._engine.run(arrays)

    def run_on_device(self, feeds: Mapping[str, Any], stream: Any = None) -> Mapping[str, Any]:
        """Run one inference on arrays on the GPU; see `Loaded.run_on_device`."""
        with _failures_told("Give contiguous arrays in the types and shapes of the engine's inputs."):
            return self._engine.run_on_device(feeds, stream)

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the wall time of each of `runs` inferences, including copies, in seconds, after `warmup` warm-up runs.

        Raises:
            BadOption, CannotRunHere: As `run`.
        """
        arrays = self._checked(feeds)
        times = []
        with _failures_told():
            self._engine.feed(arrays)
            for _ in range(warmup + runs):
                started = time.perf_counter()
                self._engine.session.run()
                times.append(time.perf_counter() - started)
        return times[warmup:]

    def close(self) -> None:
        """Free the engine and its buffers."""
        self._loaded = None
        self._release()

    @property
    def _engine(self) -> Engine:
        if self._loaded is None:
            raise closed(self._folder)
        if self._process != os.getpid():
            problem = f"{self._folder} was loaded in another process, but CUDA does not work in a forked child"
            raise CannotRunHere(problem, remedy="Load it in the process that runs it, or start that process by spawn.")
        return self._loaded

    def _checked(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return check_feeds(feeds, [self._within_range(spec, feeds.get(spec.name)) for spec in self.inputs])

    def _within_range(self, spec: TensorSpec, array: Array | None) -> TensorSpec:
        """Return `spec` with the shape of `array` if the engine was built for that one too."""
        ranges = self._engine.ranges[spec.name]
        shape = np.shape(array) if array is not None else spec.shape
        if ranges is None or len(shape) != len(spec.shape):
            return spec
        fits = all(low <= size <= high for low, size, high in zip(ranges.min, shape, ranges.max, strict=True))
        return spec.model_copy(update={"shape": shape}) if fits else spec


def _close(engine: Engine, process: int) -> None:
    if process == os.getpid():
        engine.close()


@contextmanager
def _failures_told(
    remedy: str = "Close what else uses the GPU, or compile for smaller inputs.",
) -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        raise CannotRunHere(str(failure), remedy=remedy) from failure


def open_engine(context: RunContext) -> TensorRTRunner:
    """Load the engine of an artefact; it is built first if none exists that fits this machine.

    Raises:
        CannotRunHere: This machine is not the board, or TensorRT fails on it.
    """
    folder, board = context.folder, context.board
    remedy = f"Copy {folder} to the board and run ./build.sh there."
    if platform.machine() != board.architecture:
        raise CannotRunHere(f"{board.name} is {board.architecture}, this machine {platform.machine()}", remedy=remedy)
    try:
        facts.check_tensorrt()
        # Imported here, because it loads TensorRT and the CUDA runtime, which exist only on a board.
        from edgec.targets.tensorrt.board import runner  # noqa: PLC0415

        engine = runner.Runner(str(folder))
    except Failure as failure:
        raise CannotRunHere(f"this machine is not {board.name}: {failure}", remedy=remedy) from failure
    where = f"TensorRT {engine.facts['tensorrt']} on sm_{engine.facts['sm']}"
    return TensorRTRunner(engine, context, where)
