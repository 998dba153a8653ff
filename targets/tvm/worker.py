"""Threads that call compiled networks: TVM's pool of workers belongs to the thread that calls."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import tvm

Result = TypeVar("Result")
Reply = SimpleQueue[tuple[Any, BaseException | None]]
"""Receives the result of a task, or the exception it raised."""
ONE_CORE_PER_THREAD = -2
"""Affinity mode of TVM's pool. Unbound workers may settle on the core where the caller waits for them."""


class Caller(Protocol):
    """Calls a network: one task at a time."""

    @property
    def is_here(self) -> bool:
        """Return whether it can be used in this process: a forked child has none of its parent's threads and locks."""

    def do(self, task: Callable[[], Result]) -> Result:
        """Return the result of `task`, or raise its exception, after all tasks that were given before."""

    def give_back(self, clear: Callable[[], None]) -> None:
        """Release it to others; `clear` is called after all given tasks. It takes no lock: finalizers may call it."""


def caller(threads: int) -> Caller:
    """Return a caller of networks on `threads` threads."""
    return CallingThread() if threads == 1 else Worker.take(threads)


class CallingThread:
    """Calls in the calling thread: a network on one thread needs no pool, and no change of threads."""

    def __init__(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()

    @property
    def is_here(self) -> bool:
        """See `Caller`."""
        return self._process == os.getpid()

    def do(self, task: Callable[[], Result]) -> Result:
        """See `Caller`."""
        with self._lock:
            if not hasattr(_this_thread, "alone"):
                use_threads(1)
                _this_thread.alone = True
            return task()

    def give_back(self, clear: Callable[[], None]) -> None:
        """See `Caller`. A task in progress keeps what it needs alive."""
        clear()


class Worker:
    """A thread with TVM's pool of `threads` workers; it is reused for the next network with as many threads.

    So there are no more pools than networks were open at once, however many are opened one after the other.
    """

    def __init__(self, threads: int) -> None:
        self.threads, self._process = threads, os.getpid()
        self._tasks: SimpleQueue[tuple[Callable[[], Any], Reply]] = SimpleQueue()
        threading.Thread(target=_serve, args=(self._tasks,), name="edgec-run", daemon=True).start()
        self.do(lambda: use_threads(threads))

    @classmethod
    def take(cls, threads: int) -> Worker:
        """Return a worker that is not in use."""
        try:
            return _idle[threads].pop()
        except IndexError:
            return cls(threads)

    @property
    def is_here(self) -> bool:
        """See `Caller`."""
        return self._process == os.getpid()

    def do(self, task: Callable[[], Result]) -> Result:
        """See `Caller`."""
        result, error = self._submit(task).get()
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]  # of another type for each task

    def give_back(self, clear: Callable[[], None]) -> None:
        """See `Caller`."""
        if self.is_here:
            self._submit(clear)
            _idle[self.threads].append(self)

    def _submit(self, task: Callable[[], Any]) -> Reply:
        reply: Reply = SimpleQueue()
        self._tasks.put((task, reply))
        return reply


def _serve(tasks: SimpleQueue[tuple[Callable[[], Any], Reply]]) -> None:
    while True:
        task, reply = tasks.get()
        try:
            reply.put((task(), None))
        except BaseException as error:
            reply.put((None, error))
        del task, reply  # nothing keeps their data alive while the thread is idle


_idle: defaultdict[int, list[Worker]] = defaultdict(list)
os.register_at_fork(after_in_child=_idle.clear)
_this_thread = threading.local()
"""Has the attribute `alone` in threads that TVM runs without other workers."""


def use_threads(threads: int) -> None:
    """Give the calling thread, which must be new to TVM unless it works alone, `threads` workers, one per core."""
    before = os.sched_getaffinity(0)
    cpus = _cpus_by_speed()
    names = [str(cpus[index % len(cpus)]) for index in range(threads)]
    tvm.get_global_func("runtime.config_threadpool")(ONE_CORE_PER_THREAD, threads, names)
    if threads == 1:
        os.sched_setaffinity(0, before)  # a single thread need not be bound to a core


def _cpus_by_speed() -> list[int]:
    """Return the CPUs this process may use, the fastest first: big cores before little ones."""

    def megahertz(cpu: int) -> float:
        try:
            return int(Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq").read_text()) / 1e3
        except (OSError, ValueError):
            return 0.0

    return sorted(os.sched_getaffinity(0), key=lambda cpu: (-megahertz(cpu), cpu))
