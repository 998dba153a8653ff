"""`EmulatedTime`: what an inference takes on a board that is not here, from what it executes under an emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Counts:
    """What one inference of one thread executes.

    Attributes:
        instructions: All instructions.
        multiply_adds: Those of them that multiply and add vectors, of floats or integers.
        cycles: Cycles of all blocks of instructions by llvm-mca's model of the core, without waiting for memory.
        l1_misses: Misses of a simulated data cache of the first level.
        memory_misses: Misses of the last cache in front of memory.
        kernels: The same for each kernel, in the order of the network, where that was asked for.
    """

    instructions: int
    multiply_adds: int
    cycles: float
    l1_misses: int
    memory_misses: int
    kernels: tuple[KernelCounts, ...] = ()


@dataclass(frozen=True)
class KernelCounts:
    """What one kernel of the network executes, and what it computes; see `edgec.targets.kernel_times.KernelTime`."""

    function: str
    nodes: tuple[str, ...]
    macs: int
    bytes: int
    counts: Counts


@dataclass(frozen=True)
class EmulatedKernel:
    """Estimated time of one kernel.

    Attributes:
        function: Its name in the compiled network.
        nodes: Names of the ONNX nodes it computes; empty where that is not known.
        ms: Estimated time in milliseconds.
        instructions: Instructions it executes.
        macs: Multiply-accumulates of its nodes.
        bytes: What these read and write, in the types of the ONNX model.
    """

    function: str
    nodes: tuple[str, ...]
    ms: float
    instructions: int
    macs: int
    bytes: int


@dataclass(frozen=True)
class EmulatedTime:
    """Estimated time of one inference on a board, one thread.

    Attributes:
        board: Name of the board.
        core: Core whose constants were used, such as `cortex-a72`.
        mhz: Clock for which it holds.
        ms: Time in milliseconds.
        low_ms: Lower end of the band in which 90 % of times lie.
        high_ms: Its upper end.
        basis: What the constants rest on, for people.
        counts: What was executed.
        kernels: The kernels, where they were counted one by one; between them lies what the executor does.
    """

    board: str
    core: str
    mhz: float
    ms: float
    low_ms: float
    high_ms: float
    basis: str
    counts: Counts
    kernels: tuple[EmulatedKernel, ...] = ()

    @property
    def conditions(self) -> str:
        """For what the time holds, and its band, for people."""
        return (
            f"on {self.board} at {self.mhz:.0f} MHz, one thread;"
            f" 90 % of times lie between {self.low_ms:.3g} and {self.high_ms:.3g} ms"
        )

    @property
    def origin(self) -> str:
        """What the time was computed from, for people."""
        return (
            f"estimated from {self.counts.instructions / 1e6:.1f} M instructions,"
            f" {self.counts.multiply_adds / 1e6:.1f} M of them multiply-adds of vectors, and cache misses;"
            f" constants from {self.basis}, of ncnn's networks"
        )


@runtime_checkable
class Emulated(Protocol):
    """A runner that may run under an emulator that counts."""

    def count(self, feeds: Mapping[str, np.ndarray[Any, Any]], *, layers: bool = False) -> Counts:
        """Return what one inference executes, with `layers` also each of its kernels.

        Raises:
            BadOption: As `Runner.run`; or it is not emulated, or there is no model of the board's core.
            CannotRunHere: The emulator takes no plugins.
            MissingDependency: A tool is missing; the remedy is the command that installs it.
        """

    def estimated_time(self, counts: Counts, measured: tuple[Counts, float] | None = None) -> EmulatedTime:
        """Return the time of what `count` returned.

        Args:
            counts: What the inference executes.
            measured: Counts of another artefact for the board, and its time there in milliseconds with one thread.

        Raises:
            BadOption: There is no model of the board's core, or its record has no clock.
        """
