"""`run`: runs many measurements in processes or on a cluster, and writes each result to the journal at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edgec.jobs.cluster import on_cluster
from edgec.jobs.journal import Journal, Record, append
from edgec.jobs.processes import in_processes
from edgec.jobs.workers import Workers

PartT = TypeVar("PartT")


def run(
    measure: Callable[[PartT], Iterable[Record]],
    parts: Sequence[PartT],
    journal: Journal,
    workers: Workers,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Measure all `parts` and append the results to `journal`, which contains all of them at the end.

    Args:
        measure: Yields the results of a part one by one; a function at the top level of a module, or a `partial` of
            one.
        parts: Self-contained parts of the work; for other processes, parts that can be sent to them.
        journal: Receives the results.
        workers: Processes or cluster that do the work.
        progress: Called at the beginning, from time to time, and at the end, always after reading the journal again.

    Raises:
        MissingDependency: A scheduler is given, but Dask is not installed.
        Exception: Any exception that `measure` raised.
    """

    def show() -> None:
        journal.refresh()
        progress()

    show()
    if workers.scheduler is not None:
        for results in on_cluster(partial(_listed, measure), parts, workers.scheduler):
            for record in results:
                journal.append(record)
            show()
    elif not workers.count:
        for part in parts:
            for record in measure(part):
                journal.append(record)
                show()
    else:
        journal.begin()
        in_processes(partial(_into_journal, measure, journal.path), parts, workers.count, show)
    show()


def _listed(measure: Callable[[Any], Iterable[Record]], part: Any) -> list[Record]:
    return list(measure(part))


def _into_journal(measure: Callable[[Any], Iterable[Record]], journal: Path, part: Any) -> None:
    for record in measure(part):
        append(journal, record)
