"""Definition of a back end: the `Target` protocol, and the records that the driver and a back end exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.model.true_sizes import TrueSizes
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.record import Record
from edgec.targets.board import Board

LICENCES = "LICENSES"
"""Folder of an artefact for the licences of what a back end puts into it."""
Opened = TypeVar("Opened")


@dataclass(frozen=True)
class LoweringContext:
    """Everything `Target.lower` may use besides the model.

    `folder` is the artefact being staged: files written there become part of it. `samples` are the golden inputs
    (name -> array), at least one.
    """

    board: Board
    options: CompileOptions
    folder: Path
    record: Record
    samples: Sequence[Mapping[str, np.ndarray[Any, Any]]]

    @property
    def golden_inputs(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """The first of the golden inputs."""
        return self.samples[0]


class RuntimeRecord(BaseModel):
    """Data for a back end's own `open`: the fields of a class derived from this one, stored in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def files(self) -> tuple[str, ...]:
        """Return the files of the artefact that `open` reads."""
        return ()


@dataclass(frozen=True)
class Lowered:
    """Result of a lowering: data for the back end's own `open`, as JSON values of its `RuntimeRecord`.

    `least_tolerance` is the error of the outputs, relative to their range, that the precision itself causes in this
    network, if it is known: the tolerance of the artefact is never tighter. `later` are files and folders that
    appear in the artefact when it is built or run.
    `inner` are inner values of the network, with their shapes, that a runner can return: see `Inspectable`.
    `commands` says what can be done with the artefact on its board: a purpose, such as `Check it`, and the command
    line for it in the artefact's folder, in the order in which a newcomer should try them.
    """

    runtime: Mapping[str, Any] = field(default_factory=dict)
    least_tolerance: float = 0.0
    later: tuple[str, ...] = ()
    inner: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Verdict of a back end on one node: `reason` names the rewrite or the obstacle, and is empty without either.

    `device` says where the node would run if the board has several devices, and why not on the most economical one.
    """

    where: str
    op_type: str
    verdict: Literal["supported", "rewritten", "refused"]
    reason: str = ""
    remedy: str = ""
    device: str = ""


class Runner(Protocol):
    """A loaded artefact: numpy in, numpy out."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the model's order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the model's order."""

    @property
    def description(self) -> str:
        """Where the code runs, e.g. `native`, `qemu-aarch64 -cpu cortex-a72`."""

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Run one inference: input name -> array of the input's shape and dtype, output name -> array.

        Raises:
            BadOption: An input is missing, unknown, or has another shape or dtype; nothing is converted.
        """

    def bench(self, feeds: Mapping[str, np.ndarray[Any, Any]], *, warmup: int, runs: int) -> list[float]:
        """Return the wall time of each of `runs` inferences, in seconds, after `warmup` warm-up runs."""

    def close(self) -> None:
        """Free all resources; it cannot run any more. The end of a `with` block does this, too."""

    def __enter__(self) -> Runner:
        """Return itself."""

    def __exit__(self, *raised: object) -> None:
        """Close it."""


def is_emulated(where: str) -> bool:
    """Return whether a `Runner.description` is that of an emulator, whose times say nothing about the board."""
    return where.startswith("qemu")


class Closing:
    """A runner that is closed at the end of a `with` block."""

    def close(self) -> None:
        """Free all resources."""
        raise NotImplementedError

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def closed(folder: Path) -> BadOption:
    """Return the error for a call after `close`."""
    return BadOption(f"the runner of {folder} is closed", remedy="Load the artefact again.")


@runtime_checkable
class Inspectable(Protocol):
    """A runner that can return inner values of the network."""

    def inspect(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Run one inference and return the values named by `Lowered.inner`: name -> array, as in the ONNX model.

        Raises:
            BadOption: As `Runner.run`.
        """


@dataclass(frozen=True)
class RunContext:
    """An artefact to load: its folder (hashes already checked) and the contents of its manifest.

    Attributes:
        folder: The artefact.
        board: Board for which it was compiled.
        inputs: Inputs in the model's order.
        outputs: Outputs in the model's order.
        runtime: Runtime record that `Target.lower` wrote, see `Lowered`.
        threads: Number of worker threads, at least 1.
        true_sizes: Further results after the outputs, and the outputs whose true sizes they are: shapes are
            maximum sizes.
    """

    folder: Path
    board: Board
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: Mapping[str, Any]
    threads: int
    true_sizes: TrueSizes = field(default_factory=TrueSizes)


class Target(Protocol):
    """A back end. Registered in the entry-point group `edgec.targets`; board records name it in `backend`.

    Attributes:
        runtime: Class of the record that `lower` writes for `open`.
    """

    runtime: type[RuntimeRecord]

    def profile(self, board: Board) -> Profile:
        """Return the profile of `board` for the passes."""

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Return one finding for every node of `model` (static shapes, canonical form), which is not modified.

        Findings on the model as a whole, such as the type of an input, come before those on nodes.
        """

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Compile `model` (static shapes, canonical form) into files under `context.folder`.

        Raises:
            UnsupportedModel: A node cannot be lowered; the message names operator and node.
            MissingDependency: The back end's compiler is not installed.
        """

    def open(self, context: RunContext) -> Runner:
        """Load an artefact for execution on this machine, emulated if necessary.

        Raises:
            CannotRunHere: This machine cannot execute it.
        """
