"""`KernelTimes`: what each kernel of a compiled network takes, as a runner that is `Profiled` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a compiled network: what a back end runs in one go.

    Attributes:
        function: Its name in the compiled network.
        nodes: Names of the ONNX nodes it computes; empty where that is not known.
        ms: Median time.
        macs: Multiply-accumulates of these nodes.
        bytes: What they read and write, weights included, in the types of the ONNX model.
        share_of_peak: Multiply-accumulates a second as a share of what the threads reach in fp32 on registers alone.
    """

    function: str
    nodes: tuple[str, ...]
    ms: float
    macs: int
    bytes: int
    share_of_peak: float

    @property
    def name(self) -> str:
        """The nodes, or the function where they are not known."""
        return " + ".join(self.nodes) or self.function


@dataclass(frozen=True)
class KernelTimes:
    """What each kernel of a network takes, in the order of the network.

    Attributes:
        where: Where the code ran.
        threads: Worker threads.
        runs: How often each was measured.
        whole_ms: Median time of inferences without clocks inside, by turns with the others.
        executor_ms: What the calls between the kernels take: allocations, tuples.
        clock_ns: What it takes to read the clock; once in the time of each kernel.
        peak_macs_per_s: Multiply-adds a second that one thread reaches on registers alone, in fp32.
        kernels: The kernels.
    """

    where: str
    threads: int
    runs: int
    whole_ms: float
    executor_ms: float
    clock_ns: float
    peak_macs_per_s: float
    kernels: tuple[KernelTime, ...]

    @property
    def sum_ms(self) -> float:
        """All kernels and what lies between them."""
        return self.executor_ms + sum(kernel.ms for kernel in self.kernels)


@runtime_checkable
class Profiled(Protocol):
    """A runner that tells what each kernel takes."""

    def profile(
        self, feeds: Mapping[str, np.ndarray[Any, Any]], *, warmup: int, runs: int, trace: Path | None = None
    ) -> KernelTimes:
        """Return the times of `runs` inferences, after `warmup` that do not count.

        Args:
            feeds: Inputs by name.
            warmup: Number of inferences that do not count.
            runs: Number of inferences that do.
            trace: File into which the kernels of one inference are written, for Perfetto or chrome://tracing.

        Raises:
            BadOption: As `Runner.run`, or the file cannot be written.
        """
