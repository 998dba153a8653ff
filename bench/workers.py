"""Work in a process of its own, which is replaced when it dies or hangs; results kept, so that a run can go on."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def isolated(work: Callable[[T], R], items: Iterable[T], patience_s: float) -> Iterator[tuple[T, R | str]]:
    """Yield each item with what `work` returns for it, or with why there is nothing: the process died, or took long.

    Args:
        work: A function of a module: the process imports it.
        items: What it is called with, one after the other.
        patience_s: Seconds after which a call counts as hanging.
    """
    context = multiprocessing.get_context("spawn")
    pool = None
    try:
        for item in items:
            pool = pool or ProcessPoolExecutor(1, mp_context=context)
            try:
                yield item, pool.submit(work, item).result(patience_s)
            except (BrokenProcessPool, TimeoutError) as error:
                for process in pool._processes.values():
                    process.kill()
                pool.shutdown(wait=False, cancel_futures=True)
                pool = None
                died = isinstance(error, BrokenProcessPool)
                yield item, "the process died" if died else f"still running after {patience_s:.0f} s"
    finally:  # also where the caller has had enough
        if pool:
            pool.shutdown()


def resumed(
    items: Sequence[T], judged: Callable[[list[T]], Iterable[tuple[T, Any]]], results: Path | None, limit_s: float
) -> dict[T, Any]:
    """Return the verdict on each item, as far as there is one: those in `results` are not made again.

    Args:
        items: Strings, numbers, or tuples of these.
        judged: Given items, yields each with its verdict, which is JSON.
        results: File of JSON lines that takes each verdict as soon as it is there; None: nothing is kept.
        limit_s: Seconds after which no further item is begun.
    """
    known: dict[Any, Any] = {}
    for line in results.read_text(encoding="utf-8").splitlines() if results and results.exists() else ():
        item, verdict = json.loads(line)
        known[tuple(item) if isinstance(item, list) else item] = verdict
    begun = time.monotonic()
    for item, verdict in judged([item for item in items if item not in known]):
        known[item] = verdict
        if results:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps([item, verdict]) + "\n")
        if time.monotonic() - begun > limit_s:
            break
    return {item: known[item] for item in items if item in known}
