"""`exploration`: one time goal after the other over one shared state, each result written to a journal."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from pydantic import ValidationError

from edgec.compress.front import SENSITIVITY, Front, FrontPoint
from edgec.compress.rounds import Rounds
from edgec.compress.sensitivity import digest_of
from edgec.compress.tasks import open_tasks
from edgec.compress.time_goal import TimeGoal, above
from edgec.errors import InternalError
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.journal import Journal
from edgec.model import serialize
from edgec.model.cost import layer_costs, total_cost
from edgec.model.serialize import weight_bytes
from edgec.options import CompileOptions
from edgec.passes.prepare import prepare
from edgec.profile import Profile
from edgec.record import Record

SHARES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
"""Goals of each precision: the least time that pruning reaches, and this share of what it saves at most besides."""
JOURNAL = "points.jsonl"


def exploration(
    model: ir.Model,
    options: CompileOptions,
    profile: Profile,
    record: Record,
    *,
    precisions: Sequence[str],
    path: Path,
    sha256: str,
    folder: Path,
    shared: dict[str, Any],
) -> Front:
    """Measure points from the untouched network to far too small ones, in each precision.

    Calibration, statistics, sensitivities, losses of candidates and the original's outputs are shared by all points. A
    point that is in the journal of `folder` is not computed again.

    Args:
        model: In canonical form, float.
        options: As `implied_options` returns them, with some latency.
        profile: Profile of the board, with an estimate.
        record: Receives the stages.
        precisions: As `competing` returns them.
        path: File of the model.
        sha256: Hash of that file.
        folder: Receives the journals.
        shared: Settings for `Front.options`.

    Raises:
        EdgecError: Data, metric or decoder are wrong, or the journal belongs to another run.
    """
    original = prepare(model)
    tasks = open_tasks(original, options, path)
    if tasks.held_out is None:
        raise InternalError("an exploration has held-out samples")
    head = {
        "model": serialize.sha256(original),
        "options": repr(sorted(shared.items())),
        "data": digest_of(tasks.decide),
    }
    points = _Points(Journal(folder / JOURNAL, head))
    rounds = Rounds(original, options, profile, tasks, record, folder / SENSITIVITY, precisions)
    goal = TimeGoal(rounds, precisions, options.target)
    check = Evaluator(original, tasks.held_out)
    total = len(precisions) * len(SHARES)
    for number, precision in enumerate(precisions):
        for place, limit in enumerate(_limits(goal, precision)):
            record.count("point", number * len(SHARES) + place + 1, total)
            if (precision, limit) not in points:
                points.add(_point(goal, rounds, check, precision, limit))
    before = check.baseline
    return Front(
        model=str(path),
        sha256=sha256,
        options=shared,
        metric=tasks.decide.metric,
        before=before.value,
        decided_on=len(tasks.decide.samples),
        held_out=len(tasks.held_out.samples),
        points=points.slowest_first(),
    )


def _limits(goal: TimeGoal, precision: str) -> list[float]:
    """Return the goals in milliseconds, from the untouched network to the smallest one."""
    whole, least = 1e3 * goal.seconds(precision), 1e3 * goal.least(precision)
    return list(dict.fromkeys(above(least + share * (whole - least)) for share in SHARES))


def _point(goal: TimeGoal, rounds: Rounds, check: Evaluator, precision: str, limit: float) -> FrontPoint:
    """Return the figures of the network that reaches a goal, in milliseconds."""
    found = goal.fitted(precision, 1e-3 * limit)
    if isinstance(found, float):
        raise InternalError(f"{limit} ms in {precision} were to be reached, but {1e3 * found} ms are the least")
    after = check.baseline if found.emulated is found.original else check.evaluate(found.emulated)
    lost = after.loss_against(check.baseline)
    return FrontPoint(
        precision=precision,
        max_latency=limit,
        milliseconds=1e3 * rounds.in_formats.seconds(found),
        loss=math.inf if math.isnan(lost) else lost,
        decided=rounds.loss(found),
        value=after.value,
        macs=total_cost(layer_costs(found.network)).macs,
        weight_bytes=weight_bytes(found.model),
        in_float=len(found.in_float),
    )


class _Points:
    """Points in a journal; a damaged record is treated as missing, and is measured again."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._points: dict[tuple[str, float], FrontPoint] = {}
        for record in journal.records:
            with contextlib.suppress(ValidationError):
                self._keep(FrontPoint.model_validate(record))

    def __contains__(self, goal: tuple[str, float]) -> bool:
        return goal in self._points

    def add(self, point: FrontPoint) -> None:
        """Write a point to the journal."""
        self._journal.append(point.model_dump(mode="json"))
        self._keep(point)

    def _keep(self, point: FrontPoint) -> None:
        self._points[point.precision, point.max_latency] = point

    def slowest_first(self) -> tuple[FrontPoint, ...]:
        """Return all points, those of the same network once."""
        ordered = sorted(self._points.values(), key=lambda point: (-point.milliseconds, point.precision))
        networks = {(point.precision, point.milliseconds, point.loss): point for point in ordered}
        return tuple(networks.values())
