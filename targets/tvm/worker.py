"""Threads that call compiled networks: TVM's pool of workers belongs to the thread that calls, and never ends."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import tvm

Result = TypeVar("Result")
ONE_CORE_PER_THREAD = -2
"""Affinity mode of TVM's pool. Unbound workers may settle on the core where the caller waits for them."""


class Worker:
    """A thread with TVM's pool of `threads` workers; it is used again by the next who wants as many.

    So there are no more pools than networks were open at once, however many are opened one after the other.
    """

    def __init__(self, threads: int) -> None:
        self.threads, self.process = threads, os.getpid()
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        threading.Thread(target=_serve, args=(self._tasks,), name="edgec-run", daemon=True).start()
        self.submit(lambda: use_threads(threads)).result()

    @classmethod
    def take(cls, threads: int) -> Worker:
        """Return a worker that nobody uses."""
        try:
            return _idle[threads].pop()
        except IndexError:
            return cls(threads)

    @property
    def is_here(self) -> bool:
        """Whether its thread is one of this process: a forked child has none of its parent's."""
        return self.process == os.getpid()

    def give_back(self, clear: Callable[[], None]) -> None:
        """Let others use it, `clear` called after all that it was asked to do. Takes no lock: for finalizers."""
        if self.is_here:
            self.submit(clear)
            _idle[self.threads].append(self)

    def submit(self, task: Callable[[], Result]) -> Future[Result]:
        """Let the thread do `task` after all that it was asked to do before."""
        future: Future[Result] = Future()
        self._tasks.put((future, task))
        return future


def _serve(tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]]]) -> None:
    while True:
        future, task = tasks.get()
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)
        del future, task  # what they hold is not held while there is nothing to do


_idle: defaultdict[int, list[Worker]] = defaultdict(list)
os.register_at_fork(after_in_child=_idle.clear)


def use_threads(threads: int) -> None:
    """Give the calling thread, which must be new to TVM, its `threads` workers, one a core."""
    before = os.sched_getaffinity(0)
    cpus = _cpus_by_speed()
    names = [str(cpus[index % len(cpus)]) for index in range(threads)]
    tvm.get_global_func("runtime.config_threadpool")(ONE_CORE_PER_THREAD, threads, names)
    if threads == 1:
        os.sched_setaffinity(0, before)  # a single thread need not be bound


def _cpus_by_speed() -> list[int]:
    """The CPUs this process may use, the fastest first: big cores before little ones."""

    def megahertz(cpu: int) -> float:
        try:
            return int(Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq").read_text()) / 1e3
        except (OSError, ValueError):
            return 0.0

    return sorted(os.sched_getaffinity(0), key=lambda cpu: (-megahertz(cpu), cpu))
