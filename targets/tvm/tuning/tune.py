"""`tune_network`: measures the choices for a network's layers on a board, and keeps the results in a database."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from os import sched_getaffinity
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import CannotRunHere
from edgec.options import Precision
from edgec.scratch import temporary_folder
from edgec.targets.board import Board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import LoweredModule, Lowering
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.tuning.database import Database
from edgec.targets.tvm.tuning.identity import schedule_version, target_key
from edgec.targets.tvm.tuning.measure import Bench, Times
from edgec.targets.tvm.tuning.peak import peak_network
from edgec.targets.tvm.tuning.search import Lost, Result, Search, Tuning, compare
from edgec.targets.tvm.tuning.serve import Tracker
from edgec.targets.tvm.tuning.task import make_tasks
from edgec.targets.tvm.tuning.timed import TimedBuilder, TimedNetwork

Array = np.ndarray[Any, Any]

PEAK_S = 0.5


@dataclass(frozen=True)
class TuneSettings:
    """Limits of the search, and the boards to use.

    Attributes:
        precision: As the network will be compiled.
        trials: Maximum number of candidates that are measured per layer.
        seconds: Time limit; None: until all choices have been tried.
        tracker: Tracker of the boards; None: this machine.
    """

    precision: Precision = "fp32"
    trials: int = 64
    seconds: float | None = None
    tracker: Tracker | None = None


def tune_network(
    model: ir.Model,
    board: Board,
    inputs: Sequence[Array],
    database: Database,
    settings: TuneSettings,
    listener: Callable[[Tuning], None] = lambda progress: None,
) -> Tuning:
    """Tune canonical `model` for `board`, whose `threads` run it; continue from the measurements in `database`.

    Args:
        model: The result of the passes.
        board: A CPU board.
        inputs: Inputs on which it is measured, in the model's order.
        database: Receives every measurement.
        settings: Limits of the search, and the boards to use.
        listener: Called with the state after every change.

    Raises:
        CannotRunHere: There is no board to measure on, or none any more.
        UnsupportedModel: An operator cannot be imported; names it and its nodes.
    """
    begin = time.monotonic()
    with network_trials(model, board, inputs, settings) as trials:
        try:
            rules, peak = trials.by_rule(), trials.peak()
        except Lost as error:
            raise CannotRunHere(f"the network cannot be measured: {error}", remedy="Check the boards.") from error
        tasks = make_tasks(trials.lowering.workloads(), rules, trials.calls, rules[""], peak, settings.trials)
        search = Search(
            tasks,
            trials,
            database,
            target=target_key(board, settings.precision),
            schedules=schedule_version(),
            whole=rules[""],
            until=None if settings.seconds is None else begin + settings.seconds,
            listener=listener,
        )
        return search.run()


@contextmanager
def network_trials(
    model: ir.Model, board: Board, inputs: Sequence[Array], settings: TuneSettings
) -> Iterator[NetworkTrials]:
    """Yield the trials that measure the choices for `model`; see `tune_network`."""
    bench = Bench(inputs, board.threads, settings.tracker)
    try:
        with temporary_folder() as scratch:
            yield NetworkTrials(model, board, bench, settings.precision, scratch)
    finally:
        bench.close()


class NetworkTrials:
    """Builds a network with some choices and measures it beside the default one; implements `search.Trials`."""

    def __init__(self, model: ir.Model, board: Board, bench: Bench, precision: Precision, folder: Path) -> None:
        resolved = resolve(board)
        self.places, self._bench, self._target = bench.places, bench, llvm_target(resolved)
        self._cpu = cpu_model(board).at_precision(precision)
        self.lowering = Lowering(to_relax(model), self._cpu, self._target)
        self._builder = TimedBuilder(resolved, folder, workers=len(sched_getaffinity(0)))
        self._building, self._numbers = threading.Lock(), count()
        rules = self.lowering.emit({})
        self._workloads = rules.report.workloads
        self.calls: Counter[str] = Counter()
        for function, key in self._workloads.items():
            self.calls[key] += rules.report.calls[function]
        self._rules = self._builder.build(rules.module, "rules")

    def by_rule(self) -> dict[str, float]:
        """Return the seconds of each workload in an inference of the default network, and "" -> of all kernels.

        On a busy machine the time from the first kernel to the last one contains what others computed between them.
        """
        taken = self._bench.measure([self._rules], PEAK_S).networks[0]
        keys = dict.fromkeys(self._workloads.values())
        seconds = {key: _seconds(taken, self._rules, self._workloads, key) for key in keys}
        return {key: float(np.median(found)) for key, found in seconds.items()} | {
            "": float(np.median(taken[..., :-1].sum(axis=-1)))
        }

    def peak(self) -> float:
        """Return the maximum number of multiply-accumulates per second of the board."""
        module, macs, source = peak_network(self._cpu)
        lowered = Lowering(module, self._cpu, self._target).emit({})
        network = self._builder.build(lowered.module, "peak")
        taken = self._bench.measure([network], PEAK_S, [source]).networks[0]
        convolutions = dict.fromkeys(lowered.report.workloads, "")  # without the layout copies at both ends
        return macs / float(np.median(_seconds(taken, network, convolutions, "")))

    def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        """See `Trials`."""
        with self._building:
            lowered = self._emit(choices)
            network = self._builder.build(lowered.module, f"trial{next(self._numbers)}")
        try:
            times = self._bench.measure([self._rules, network], seconds)
        finally:
            network.library.unlink()
        return self._results(times, network, lowered.report.workloads, choices)

    def _emit(self, choices: Mapping[str, Choice]) -> LoweredModule:
        lowered = self.lowering.emit(choices)
        made = set(lowered.report.workloads.values())
        # A choice for which no kernel could be compiled is left out; the others are measured all the same.
        possible = {key: choice for key, choice in choices.items() if key in made}
        return lowered if len(possible) == len(choices) else self.lowering.emit(possible)

    def _results(
        self, times: Times, network: TimedNetwork, workloads: Mapping[str, str], choices: Mapping[str, Choice]
    ) -> dict[str, Result]:
        by_rule, other = times.networks
        results = {"": compare(by_rule[..., -1], other[..., -1])}
        for key in choices:
            if key in workloads.values():
                before = _seconds(by_rule, self._rules, self._workloads, key)
                results[key] = compare(before, _seconds(other, network, workloads, key))
        return results


def _seconds(taken: Array, network: TimedNetwork, workloads: Mapping[str, str], key: str) -> Array:
    """Return [turns, inferences]: the seconds of all kernels of a workload."""
    places = [at for at, kernel in enumerate(network.kernels) if workloads.get(kernel) == key]
    return np.asarray(taken[..., places].sum(axis=-1))
