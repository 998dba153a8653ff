"""`measure_sensitivity`: what the network loses when one group is pruned, for every group and ratio."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.compress.probe import Measure, Point, Probe
from edgec.compress.sensitivity_report import GroupSensitivity, SensitivityReport
from edgec.data.metrics.base import MetricResult
from edgec.data.samples import fingerprint
from edgec.errors import BadOption, MissingDependency
from edgec.model import serialize
from edgec.passes.channels.groups import Group
from edgec.passes.prune.moments import LayerMoments
from edgec.passes.prune.rank import Ranking, choose

Array = np.ndarray[Any, Any]

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))
PARTS_PER_WORKER = 2
"""Parts that the groups are cut in for each process: more even out the load, but each goes through the network anew."""
POLL_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Part:
    """A share of the work, complete in itself: goes to another process or machine."""

    model: bytes
    measure: Measure
    moments: Mapping[str, Array]
    points: tuple[Point, ...]
    threads: int | None
    journal: Path | None


def measure_sensitivity(
    model: ir.Model,
    groups: Sequence[Group],
    rankings: Mapping[str, Ranking],
    measure: Measure,
    *,
    criterion: str,
    journal: Path,
    moments: Mapping[str, LayerMoments] | None = None,
    ratios: Sequence[float] = RATIOS,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SensitivityReport:
    """Prune every group at every ratio, one at a time, and measure the loss.

    Each result is appended to `journal` as it comes; what is there already is not measured again, so that an
    interrupted run goes on where it was.

    Args:
        model: As `prepare` returns it.
        groups: Those to measure, of this model.
        rankings: Group name -> which units go first.
        measure: Data and metric.
        criterion: Name of the criterion behind `rankings`, for the report.
        journal: File of one JSON object a line.
        moments: If given, the layers behind a group make up for what is removed, as the repair will do.
        ratios: Shares of the units, ascending.
        workers: Processes; None: one a processor, 0: none, all is done in this one.
        scheduler: Address of a Dask scheduler that takes the work instead (`tcp://...`).
        progress: Called with the number of results there are and will be.

    Raises:
        BadOption: The journal belongs to another run, data and metric do not fit, or they cannot be handed to other
            processes.
        MissingDependency: `scheduler` is given and Dask is not installed.
    """
    data = serialize.to_bytes(model)
    head = {
        "model": serialize.sha256(model),
        "criterion": criterion,
        "compensated": moments is not None,
        "metric": measure.metric,
        "samples": len(measure.samples),
    }
    points = [Point(g.name, r, tuple(choose(g, rankings[g.name], r))) for g in groups for r in ratios]
    whole_head = {**head, "data": _digest(measure)}
    done = _open_journal(journal, whole_head)
    if "" not in done:
        baseline = Probe(data, measure, {}).baseline()  # data and metric have worked once before a line is written
        if not journal.exists():
            _append(journal, whole_head)
        _append(journal, {"group": "", "ratio": 0.0, "value": baseline.value, "higher": baseline.higher_is_better})
    missing = [point for point in points if point.ratio not in done.get(point.group, {})]
    held = {} if moments is None else moments
    count = os.cpu_count() if workers is None else workers
    in_journal = journal if scheduler is None else None
    parts = [
        Part(data, measure, _moments_of(chunk, groups, held), tuple(chunk), 1 if count else None, in_journal)
        for chunk in _chunks(missing, max(count or 1, 1) * PARTS_PER_WORKER if scheduler is None else len(missing))
    ]

    def show() -> None:
        there = sum(len(ratios_done) for name, ratios_done in _read_journal(journal)[1].items() if name)
        progress(min(there, len(points)), len(points))

    show()
    if scheduler is not None:
        for results in _on_dask(parts, scheduler):
            for line in results:
                _append(journal, line)
            show()
    elif not count:
        for part in parts:
            run_part(part, show)
    else:
        _check_travels(measure)
        _in_processes(parts, count, show)
    show()
    return _report(head, groups, rankings, ratios, _read_journal(journal)[1])


def _digest(measure: Measure) -> str:
    """Return a digest of what is measured on: the names of the samples, and the first as it enters the network."""
    first = fingerprint(next(iter(measure.samples)))
    return hashlib.sha256(repr([first, *(sample.name for sample in measure.samples)]).encode()).hexdigest()


def run_part(part: Part, after_each: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """Measure the points of `part`; append each result to its journal, if it has one, and return all."""
    probe = Probe(part.model, part.measure, part.moments, threads=part.threads)
    lines = []
    for point, result in probe.run(part.points):
        line = {"group": point.group, "ratio": point.ratio, "value": result.value, "higher": result.higher_is_better}
        if part.journal is not None:
            _append(part.journal, line)
        lines.append(line)
        after_each()
    return lines


def _check_travels(measure: Measure) -> None:
    try:
        pickle.dumps(measure)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BadOption(
            f"data or metric cannot be handed to other processes: {error}",
            remedy="Use --workers 0, or give them as a function at the top level of a module.",
        ) from error


def _in_processes(parts: Sequence[Part], count: int, show: Callable[[], None]) -> None:
    # Spawned, not forked: ONNX Runtime's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count, max(len(parts), 1)), mp_context=context, initializer=_end_by_ctrl_c) as pool:
        with _ctrl_c_held_back():
            waiting: set[Future[Any]] = {pool.submit(run_part, part) for part in parts}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                show()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back, also from processes begun here, until they call `_end_by_ctrl_c`: imports would print it."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _end_by_ctrl_c() -> None:
    """Let Ctrl-C end this process at once and without a word; what it did not write yet is measured the next time."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as of a job in the background: then it is not for us either
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _on_dask(parts: Sequence[Part], scheduler: str) -> Iterator[list[dict[str, Any]]]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingDependency("--scheduler needs Dask", remedy="Run `pip install 'edgec[dask]'`.") from error
    with distributed.Client(scheduler) as client:
        for future in distributed.as_completed(client.map(run_part, parts, pure=False)):
            yield future.result()


def _chunks(points: Sequence[Point], count: int) -> Iterator[list[Point]]:
    """Cut into at most `count` runs of whole groups, of about equal length."""
    groups = list(dict.fromkeys(point.group for point in points))
    bounds = (
        np.linspace(0, len(groups), min(count, len(groups)) + 1).round().astype(int) if groups else np.zeros(1, int)
    )
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        names = set(groups[start:stop])
        yield [point for point in points if point.group in names]


def _moments_of(
    points: Iterable[Point], groups: Sequence[Group], moments: Mapping[str, LayerMoments]
) -> dict[str, Array]:
    names = {point.group for point in points}
    readers = {member.node for group in groups if group.name in names for member in group.readers}
    return {name: held.h for name, held in moments.items() if name in readers}


def _open_journal(journal: Path, head: Mapping[str, Any]) -> dict[str, dict[float, dict[str, Any]]]:
    if not journal.exists():
        journal.parent.mkdir(parents=True, exist_ok=True)
        return {}
    there, results = _read_journal(journal)
    if not there:  # killed before it was begun
        journal.unlink()
        return {}
    if there != head:
        different = [key for key in head if there.get(key) != head[key]]
        raise BadOption(
            f"{journal} was begun with another {' and '.join(different) or 'edgec'}",
            remedy="Remove it, or choose another output.",
        )
    return results


def _read_journal(journal: Path) -> tuple[dict[str, Any], dict[str, dict[float, dict[str, Any]]]]:
    """Return the head, and group -> ratio -> line; a last line that was cut off counts as not there."""
    head: dict[str, Any] = {}
    results: dict[str, dict[float, dict[str, Any]]] = {}
    for number, text in enumerate(journal.read_text(encoding="utf-8").splitlines()):
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if number == 0:
            head = line
        elif isinstance(line, dict) and "group" in line:
            results.setdefault(line["group"], {})[line["ratio"]] = line
    return head, results


def _append(journal: Path, line: Mapping[str, Any]) -> None:
    # One write of one line: several processes append to the file, and any of them may be killed. A line that was cut
    # off is closed first, so that it spoils no other.
    text = json.dumps(dict(line))
    with journal.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        broken = file.tell() > 0 and _last_byte(file) != b"\n"
        file.write((b"\n" if broken else b"") + text.encode() + b"\n")


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    last: bytes = file.read(1)
    return last


def _report(
    head: Mapping[str, Any],
    groups: Sequence[Group],
    rankings: Mapping[str, Ranking],
    ratios: Sequence[float],
    results: Mapping[str, Mapping[float, Mapping[str, Any]]],
) -> SensitivityReport:
    whole = results[""][0.0]
    baseline = MetricResult(whole["value"], whole["higher"])
    measured = {}
    for group in groups:
        losses = [MetricResult(results[group.name][r]["value"], whole["higher"]).loss_against(baseline) for r in ratios]
        measured[group.name] = GroupSensitivity(
            units=group.units, order=rankings[group.name].order, ratios=tuple(ratios), losses=tuple(losses)
        )
    return SensitivityReport(
        **head, baseline=baseline.value, higher_is_better=baseline.higher_is_better, groups=measured
    )
