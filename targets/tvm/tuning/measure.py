"""Measures networks on this machine, or on any board that TVM's tracker has free.

A measurement runs in a process of its own, which is ended if it takes too long. So a network that crashes, or a board
that hangs or vanishes, costs only that measurement, which is repeated, on another board if there is one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import tvm
from tvm import relax, rpc
from tvm.rpc.base import connect_with_retry
from tvm.s_tir.meta_schedule.runner import RPCConfig
from tvm.support.popen_pool import PopenWorker

from edgec.errors import CannotRunHere
from edgec.jobs.processes import end_with
from edgec.targets.tvm.tuning.search import Lost
from edgec.targets.tvm.tuning.serve import Tracker, last_line
from edgec.targets.tvm.tuning.timed import TIMES, TimedNetwork
from edgec.targets.tvm.worker import use_threads

Array = np.ndarray[Any, Any]

ATTEMPTS = 3
START_S, PER_SECOND = 60.0, 10.0
"""Time limits in seconds: to start, send and load networks, and per second of measuring."""
BURST = 2
"""Number of measured inferences per turn; one before them fills the caches with the network's own data."""
LEAST_TURNS = 5
USES = 16
"""Number of measurements after which a process is replaced, which frees the memory that libraries leave behind."""
BIG_CORES = 1
"""Mode of TVM's thread pool on boards: the fastest cores first."""
CONNECT_S = 10


@dataclass(frozen=True)
class Times:
    """Seconds, [turns, inferences per turn, kernels + 1] for each network; the last is that of the whole network."""

    networks: tuple[Array, ...]


class Bench:
    """Measures networks one after the other on this machine, or several at once on boards.

    Args:
        inputs: The network's inputs in order.
        threads: Number of the board's threads that run the network.
        tracker: Tracker of the boards; None: this machine.

    Raises:
        CannotRunHere: There is no tracker, or it knows no such board.
    """

    def __init__(self, inputs: Sequence[Array], threads: int, tracker: Tracker | None = None) -> None:
        self._inputs, self._threads, self._tracker = list(inputs), threads, tracker
        self.places = 1 if tracker is None else _boards(tracker)
        self._workers: Queue[PopenWorker] = Queue()
        for _ in range(self.places):
            self._workers.put(PopenWorker(maximum_uses=USES, stderr=subprocess.DEVNULL))

    def measure(self, networks: Sequence[TimedNetwork], seconds: float, inputs: Sequence[Array] | None = None) -> Times:
        """Measure `networks` alternately for about `seconds`, on `inputs`, by default those of the constructor.

        May be called from `places` threads at once.

        Raises:
            Lost: The measurement failed or took too long, several times.
        """
        problem, feeds = "", list(inputs or self._inputs)
        limit = START_S + PER_SECOND * seconds
        libraries = [(str(network.library), len(network.kernels)) for network in networks]
        for _ in range(ATTEMPTS):
            worker = self._workers.get()
            try:
                arguments = (os.getpid(), self._tracker, libraries, feeds, self._threads, seconds, limit)
                worker.send(_measure, arguments, timeout=limit)
                return Times(tuple(worker.recv()))
            except Exception as error:  # the network or the board may raise anything, in another process
                problem = last_line(error)
                worker.kill()
            finally:
                self._workers.put(worker)
        raise Lost(problem)

    def close(self) -> None:
        """End the measuring processes."""
        while not self._workers.empty():
            self._workers.get().kill()


def _boards(tracker: Tracker) -> int:
    """Return the number of boards that are registered at the tracker."""
    where = f"{tracker.host}:{tracker.port}"
    config = RPCConfig(tracker.host, tracker.port, tracker.key, session_timeout_sec=CONNECT_S)
    try:
        connect_with_retry((tracker.host, tracker.port), timeout=0).close()
        count = int(config.count_num_servers())
    except (OSError, ValueError, RuntimeError) as error:
        problem = f"no tracker responds at {where}: {last_line(error)}"
        raise CannotRunHere(problem, remedy="Start a tracker: edgec tune --serve") from error
    if not count:
        remedy = f"Run on each board: edgec board --tracker {where} --key {tracker.key}"
        raise CannotRunHere(f"no board is registered at {where} with the key {tracker.key!r}", remedy=remedy)
    return count


_use_threads_once = cache(use_threads)
"""TVM creates the workers of a process only once."""


def _measure(
    parent: int,
    tracker: Tracker | None,
    libraries: Sequence[tuple[str, int]],
    inputs: Sequence[Array],
    threads: int,
    seconds: float,
    limit: float,
) -> list[Array]:
    """Measure in this process, which does nothing else and ends with `parent`; see `Times`."""
    end_with(parent)
    # TVM copies the libraries; in their folder the copies are removed also if this process is killed.
    tempfile.tempdir = str(Path(libraries[0][0]).parent)
    if tracker is None:
        session = rpc.LocalSession()
        _use_threads_once(threads)
    else:
        config = RPCConfig(tracker.host, tracker.port, tracker.key, session_timeout_sec=int(limit))
        session = config.connect_server()
        session.get_function("runtime.config_threadpool")(BIG_CORES, threads)
    # Each library gets its own name: a file in use must not be overwritten.
    names = [f"{time.monotonic_ns()}-{at}.so" for at in range(len(libraries))]
    modules = []
    for (path, _), name in zip(libraries, names, strict=True):
        session.upload(path, name)
        modules.append(session.load_module(name))
    # The addresses of buffers change a network's time by some percent, so each runs twice, with buffers at both ends.
    order = [*range(len(libraries)), *reversed(range(len(libraries)))]
    runs = [(at, _instance(session, modules[at], libraries[at][1], inputs)) for at in order]
    turns: list[list[list[Array]]] = []
    begin = time.perf_counter()
    while len(turns) < LEAST_TURNS or time.perf_counter() - begin < seconds:
        turn: list[list[Array]] = [[] for _ in libraries]
        for at, run in runs:
            run()
            turn[at] += [run() for _ in range(BURST)]
        turns.append(turn)
    for name in names:
        session.remove(name)
    return [np.array([turn[at] for turn in turns]) for at in range(len(libraries))]


def _instance(session: Any, module: Any, kernels: int, inputs: Sequence[Array]) -> Callable[[], Array]:
    """Return a function that runs a loaded network once, with its own buffers, and returns its times."""
    device = session.cpu(0)
    machine = relax.VirtualMachine(module, device)
    machine.set_input("main", *(tvm.runtime.tensor(array, device) for array in inputs))
    times = tvm.runtime.empty((kernels + 1,), "float64", device)
    tell = module[TIMES]

    def run() -> Array:
        machine.invoke_stateful("main")
        tell(times)
        return np.array(times.numpy())

    return run
