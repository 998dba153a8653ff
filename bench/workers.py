"""Work in a process of its own, which is replaced when it dies or hangs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

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
