"""`in_processes`: distributes work to processes that end with this one, also if this one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from multiprocessing import connection
from typing import Any, TypeVar

PartT = TypeVar("PartT")

POLL_SECONDS = 0.5


def in_processes(
    work: Callable[[PartT], Any], parts: Sequence[PartT], count: int, meanwhile: Callable[[], None]
) -> None:
    """Call `work` with each of `parts` in `count` processes, and wait for all of them.

    Args:
        work: A function at the top level of a module.
        parts: Parts that can be sent to other processes, see `why_not_sent`.
        count: Number of processes, at least 1.
        meanwhile: Called about every `POLL_SECONDS` in this process.

    Raises:
        Exception: The first exception that `work` raised; parts that have not begun by then are skipped.
    """
    # Spawned, not forked: ONNX Runtime's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count, max(len(parts), 1)), mp_context=context, initializer=begin_worker) as pool:
        try:
            with _ctrl_c_held_back():
                waiting: set[Future[Any]] = {pool.submit(work, part) for part in parts}
            while waiting:
                finished, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                meanwhile()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def begin_worker() -> None:
    """Make this process end with its parent, and end at once and silently on Ctrl-C.

    Results that it has not written by then are measured again in the next run.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a background job ignores it, and so does this process
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@cache
def end_with(parent: int) -> None:
    """Make this process, started by the one numbered `parent`, end within `POLL_SECONDS` of it, also in a long call."""
    threading.Thread(target=_end_when_orphaned, args=(parent,), daemon=True).start()


def _end_when_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _end_with(sentinel: int) -> None:
    """Wait for the end of the process with this sentinel, then end this one."""
    connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back, also in new processes until they call `begin_worker`: during imports it prints a traceback.

    The mask is this thread's, and is what new processes get. Any other thread may still take the signal; Python would
    then raise `KeyboardInterrupt` here, between the start of a process and sending it what it is to do.
    """
    handler, arrived = signal.getsignal(signal.SIGINT), threading.Event()
    deferred = callable(handler) and threading.current_thread() is threading.main_thread()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if deferred:
        signal.signal(signal.SIGINT, lambda *_: arrived.set())
    try:
        yield
    finally:
        if deferred:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if arrived.is_set():
            signal.raise_signal(signal.SIGINT)
