"""`measure_sensitivity`: loss of the network when one group is pruned, for every group and ratio."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.compress.group_losses import Part, Point, measure_part
from edgec.compress.sensitivity_report import GroupSensitivity, SensitivityReport
from edgec.data.metrics.base import MetricResult
from edgec.data.samples import fingerprint
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.jobs.journal import Journal
from edgec.jobs.run import run
from edgec.jobs.workers import ONE_A_PROCESSOR, Workers, why_not_sent
from edgec.model import serialize
from edgec.passes.channels.groups import Group, readers_of
from edgec.passes.layerwise.moments import LayerMoments
from edgec.passes.prune.rank import Ranking, choose

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))
WHOLE = ("", 0.0)
"""Key of the whole network's metric among the results: a group without a name."""

Results = dict[tuple[str, float], MetricResult]
"""(Group name, ratio) -> result."""


def measure_sensitivity(
    model: ir.Model,
    groups: Sequence[Group],
    rankings: Mapping[str, Ranking],
    evaluator: Evaluator,
    *,
    criterion: str,
    journal: Path,
    moments: Mapping[str, LayerMoments] | None = None,
    ratios: Sequence[float] = RATIOS,
    workers: Workers = ONE_A_PROCESSOR,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SensitivityReport:
    """Prune every group at every ratio, one at a time, and measure the loss.

    Each result is appended to `journal` when it is known; results that are in it already are not measured again, so
    that an interrupted run continues where it stopped.

    Args:
        model: Model as `prepare` returns it.
        groups: The groups of this model to measure.
        rankings: Group name -> order in which units are removed.
        evaluator: Measures losses relative to `model`.
        criterion: Name of the criterion of `rankings`, for the report.
        journal: File in which the results are stored, see `Journal`.
        moments: If given, the layers after a group are refitted to compensate for removed units, as in the repair.
        ratios: Fractions of the units, ascending.
        workers: Worker processes that measure.
        progress: Called with the number of finished results and of all results.

    Raises:
        BadOption: The journal belongs to another run, data and metric do not fit, or they cannot be sent to other
            processes.
        MissingDependency: A scheduler is given, but Dask is not installed.
    """
    task = evaluator.task
    head = {
        "model": serialize.sha256(model),
        "criterion": criterion,
        "compensated": moments is not None,
        "metric": task.metric,
        "samples": len(task.samples),
    }
    points = [Point(g.name, r, tuple(choose(g, rankings[g.name], r))) for g in groups for r in ratios]
    kept = Journal(journal, {**head, "data": digest_of(task)})
    done = _Measured(kept)
    if WHOLE not in done.results():
        # Data and metric must work once before anything is written.
        kept.append(Point(*WHOLE, ()).record(evaluator.baseline))
    missing = [point for point in points if (point.group, point.ratio) not in done.results()]
    parts = list(_parts(serialize.to_bytes(model), task, missing, groups, moments or {}, workers))
    in_this_process = workers.scheduler is None and not workers.count
    if not in_this_process:
        _check_sent(task)

    def show() -> None:
        there = done.results()
        progress(sum((point.group, point.ratio) in there for point in points), len(points))

    run(partial(measure_part, evaluator=evaluator) if in_this_process else measure_part, parts, kept, workers, show)
    return _report(head, groups, rankings, ratios, done.results())


def digest_of(task: Task) -> str:
    """Return a digest of the task: the names of the samples, and the first one as it enters the network."""
    first = fingerprint(next(iter(task.samples)))
    return hashlib.sha256(repr([first, *(sample.name for sample in task.samples)]).encode()).hexdigest()


def _check_sent(task: Task) -> None:
    reason = why_not_sent(task)
    if reason is not None:
        raise BadOption(
            f"data or metric cannot be sent to other processes: {reason}",
            remedy="Use --workers 0, or give them as a function at the top level of a module.",
        )


class _Measured:
    """Results in a journal; a damaged record is treated as missing, and is measured again."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._results: Results = {}
        self._taken = 0

    def results(self) -> Results:
        """Return all results that the journal has read so far."""
        for record in self._journal.records[self._taken :]:
            group, ratio, value, higher = (record.get(key) for key in ("group", "ratio", "value", "higher"))
            if isinstance(group, str) and isinstance(ratio, float) and isinstance(value, (int, float)):
                self._results[group, ratio] = MetricResult(float(value), bool(higher))
        self._taken = len(self._journal.records)
        return self._results


def _parts(
    model: bytes,
    task: Task,
    points: Sequence[Point],
    groups: Sequence[Group],
    moments: Mapping[str, LayerMoments],
    workers: Workers,
) -> Iterator[Part]:
    """Yield the work in parts of whole groups, of about equal length."""
    names = list(dict.fromkeys(point.group for point in points))
    bounds = np.linspace(0, len(names), workers.parts(len(names)) + 1).round().astype(int)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own = set(names[start:stop])
        readers = readers_of(group for group in groups if group.name in own)
        yield Part(
            model=model,
            task=task,
            moments={name: held.h for name, held in moments.items() if name in readers},
            points=tuple(point for point in points if point.group in own),
            threads=workers.threads,
        )


def _report(
    head: Mapping[str, Any],
    groups: Sequence[Group],
    rankings: Mapping[str, Ranking],
    ratios: Sequence[float],
    results: Results,
) -> SensitivityReport:
    baseline = results[WHOLE]
    measured = {}
    for group in groups:
        losses = [results[group.name, ratio].loss_against(baseline) for ratio in ratios]
        measured[group.name] = GroupSensitivity(
            units=group.units, order=rankings[group.name].order, ratios=tuple(ratios), losses=tuple(losses)
        )
    return SensitivityReport(
        **head, baseline=baseline.value, higher_is_better=baseline.higher_is_better, groups=measured
    )
