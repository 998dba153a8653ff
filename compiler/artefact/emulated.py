"""The time of an artefact on its ARM board, estimated from the instructions that it executes under an emulator."""

from __future__ import annotations

import math

from edgec.artefact.artefact import Artefact
from edgec.artefact.evidence import keep as keep_evidence
from edgec.errors import BadOption
from edgec.targets.emulated_time import Counts, Emulated, EmulatedTime


def emulate_time(
    artefact: Artefact,
    *,
    measured: tuple[Artefact, float] | None = None,
    layers: bool = False,
    keep: bool = False,
) -> EmulatedTime:
    """Estimate the time of an inference of one thread on the board, from its instructions under the emulator.

    Args:
        artefact: Artefact for an ARM board's CPU.
        measured: Another artefact for the board, and its time there in milliseconds with one thread.
        layers: Whether the time of each kernel is estimated, too.
        keep: Whether the estimate is stored in the artefact's evidence.

    Raises:
        BadOption: The board is not emulated or has no time model; or `measured` is for another board, or not positive.
        CannotRunHere: The emulator is missing, or takes no plugins.
        MissingDependency: A tool is missing; the remedy is the command that installs it.
    """
    counted = None
    if measured is not None:
        other, ms = measured
        board, wanted = other.manifest.board.name, artefact.manifest.board.name
        if board != wanted:
            remedy = f"Give an artefact that was measured on {wanted}."
            raise BadOption(f"{other.folder} was compiled for {board}, not for {wanted}", remedy=remedy)
        if not 0 < ms < math.inf:
            raise BadOption(f"{other.folder}: its measured time must be above 0 ms, got {ms:g}")
        counted = _count(other, layers=False)[1], ms
    runner, counts = _count(artefact, layers=layers)
    found = runner.estimated_time(counts, counted)
    if keep:
        keep_evidence(artefact.folder, "emulated_time", found)
    return found


def _count(artefact: Artefact, *, layers: bool) -> tuple[Emulated, Counts]:
    with artefact.runner(1) as runner:
        if not isinstance(runner, Emulated):
            board = artefact.manifest.board.name
            problem = f"{artefact.folder}: the time on {board} is not estimated by emulation"
            raise BadOption(
                problem, remedy="That is for CPUs of ARM boards and a fixed batch. Measure it: edgec bench."
            )
        return runner, runner.count(artefact.golden_inputs(), layers=layers)
