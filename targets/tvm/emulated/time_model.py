"""From counts to milliseconds: a constant for each kind of event, fitted to published times of ARM boards.

The constants are in cores.toml, which bench/board_time/fit.py writes; docs/results/estimates.md lists their errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from edgec.errors import BadOption
from edgec.plain_file import parse
from edgec.targets.board import Board
from edgec.targets.emulated_time import Counts, EmulatedKernel, EmulatedTime
from edgec.targets.tvm.emulated.mca import Tools, cycles
from edgec.targets.tvm.emulated.plugin import Report

KIB = 1024


@dataclass(frozen=True)
class Core:
    """A modelled core: LLVM's name of its model, caches (bytes, ways) from the first on, and the CPUs it represents."""

    name: str
    llvm: str
    caches: tuple[tuple[int, int], ...]
    cpus: frozenset[str]


CORES = (
    Core("cortex-a53", "cortex-a53", ((32 * KIB, 4), (512 * KIB, 16)), frozenset({"cortex-a53"})),
    Core(
        "cortex-a72",
        "cortex-a72",
        ((32 * KIB, 2), (1024 * KIB, 16)),
        frozenset({"cortex-a57", "cortex-a72", "cortex-a73"}),
    ),
    Core(
        "cortex-a76",
        "neoverse-n1",
        ((64 * KIB, 4), (512 * KIB, 8), (2048 * KIB, 16)),
        frozenset({"cortex-a76", "cortex-a76ae", "cortex-a77", "cortex-a78", "cortex-a78ae", "neoverse-n1"}),
    ),
)


def core_of(board: Board) -> Core:
    """Return the model of the board's core.

    Raises:
        BadOption: There is none.
    """
    for core in CORES:
        if board.cpu in core.cpus:
            return core
    known = ", ".join(sorted(cpu for core in CORES for cpu in core.cpus))
    raise BadOption(
        f"board {board.name}: there is no time model of the CPU {board.cpu}",
        remedy=f"There are models of {known}. Measure on the board: edgec-run --runs 20.",
    )


def counted(reports: Sequence[Report], core: Core, tools: Tools) -> list[Counts]:
    """Return the figures on which the time depends; blocks that a report omits count like those that it lists."""
    blocks = list(dict.fromkeys(block for report in reports for _, block in report.blocks))
    each = dict(zip(blocks, cycles(blocks, core.llvm, tools), strict=True))
    found = []
    for report in reports:
        modelled = sum(executions * each[block] for executions, block in report.blocks)
        listed = sum(executions * len(block) for executions, block in report.blocks)
        whole = modelled * report.total / listed
        found.append(Counts(report.total, report.multiply_adds, whole, report.misses[0], report.misses[-1]))
    return found


def time_of(counts: Counts, board: Board, measured: tuple[Counts, float] | None = None) -> EmulatedTime:
    """Return the time of `counts` on `board`; see `edgec.targets.emulated_time.Emulated.estimated_time`."""
    core = core_of(board)
    if board.max_mhz is None:
        raise BadOption(f"board {board.name} states no clock", remedy="Set max_mhz in its board file.")
    shared, own = _constants()["cores"][core.name], _constants()["boards"].get(board.name)
    constants = shared if own is None or measured is not None else own
    per_cycle = 1 / (1e3 * board.max_mhz)
    band, basis = constants["band"], f"published times of boards with this core, {core.name}"
    if measured is not None:
        other, other_ms = measured
        per_cycle *= (other_ms * 1e3 * board.max_mhz / _cycles(other, shared)) ** shared["trust_in_one"]
        band, basis = shared["measured_band"], f"{basis}, and one time measured on the board"
    elif own is not None:
        basis = "published times of this board"
    kernels = tuple(
        EmulatedKernel(
            each.function,
            each.nodes,
            _cycles(each.counts, constants) * per_cycle,
            each.counts.instructions,
            each.macs,
            each.bytes,
        )
        for each in counts.kernels
    )
    ms, whole = _cycles(counts, constants) * per_cycle, replace(counts, kernels=())
    return EmulatedTime(board.name, core.name, board.max_mhz, ms, ms * band[0], ms * band[1], basis, whole, kernels)


def _cycles(counts: Counts, constants: Mapping[str, Any]) -> float:
    """Return the cycles that an inference takes, waiting for memory included."""
    return float(
        constants["cycles"] * counts.cycles
        + constants["multiply_adds"] * counts.multiply_adds
        + constants["others"] * (counts.instructions - counts.multiply_adds)
        + constants["l1_misses"] * counts.l1_misses
        + constants["memory_misses"] * counts.memory_misses
    )


@cache
def _constants() -> dict[str, Any]:
    return dict(parse("toml", (resources.files(__package__) / "cores.toml").read_text(encoding="utf-8")))
