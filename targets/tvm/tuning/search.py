"""The search: rounds of first looks, finals and a confirmation; each trial changes many layers of the network at once.

In one trial every layer runs one of its choices, and the whole network is measured alternately with the default one.
In a round each layer tries its next `LOOKS` choices; the best ones go to the finals, which are measured longer; the
winners of all layers are then measured together, and only those that are faster there are kept as confirmed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np

from edgec.errors import CannotRunHere
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.tuning.database import Database, Measurement, Stage
from edgec.targets.tvm.tuning.task import FINALISTS, LOOKS, Task

SECONDS: Mapping[Stage, float] = {"first": 1.0, "final": 2.5, "confirmed": 4.0}
"""Seconds for which two networks are measured alternately, by stage."""
LEAST_WHOLE_GAIN = 0.01
"""A network has to be faster by this share, or some of its choices are vetoed."""
GIVE_UP = 3
"""The search ends after this number of trials in a row that no board completes."""


@dataclass(frozen=True)
class Result:
    """Result of one trial for one workload: median times of the choice and the default; see `Measurement`."""

    seconds: float
    by_rule: float
    ratio: float


class Lost(Exception):
    """No attempt at a measurement was completed."""


class Trials(Protocol):
    """Measures networks."""

    places: int
    """Number of trials that may run at once."""

    def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        """Return the times of `choices` (by workload) beside the defaults', and "" -> the whole network's.

        Raises:
            Lost: It could not be measured.
        """


@dataclass(repr=False)
class Tuning:
    """State of a tuning run, shown as progress, and its result at the end."""

    tasks: list[Task]
    seconds: float
    """Time of the whole network with the default choices."""
    trials: int = 0
    left_s: float | None = None
    stage: str = ""
    lost: int = 0
    measured: float | None = None
    """Time of the whole tuned network relative to the untuned one, as the last confirmation measured it."""

    def __repr__(self) -> str:
        changed = sum(task.best[0] < 1 for task in self.tasks)
        times = f"{1e3 * self.seconds:.3g} ms untuned, {1e3 * self.seconds * self.ratio:.3g} ms tuned"
        return f"<Tuning: {changed} of {len(self.tasks)} layers changed, {times}, {self.trials} trials>"

    @property
    def ratio(self) -> float:
        """Time of the tuned network relative to the untuned one: measured, or else estimated from confirmed layers."""
        if not any(task.best[0] < 1 for task in self.tasks):
            return 1.0
        if self.measured is not None:
            return self.measured
        return 1 - sum(task.share * (1 - task.best[0]) for task in self.tasks)


class Search:
    """One tuning run.

    Args:
        tasks: The layers to tune; they receive the measurements of `database`.
        trials: Measures networks.
        database: Receives every measurement at once.
        target: `target_key` of the board.
        schedules: `schedule_version` of the kernels.
        whole: Seconds of the untuned network.
        until: When to stop, by `time.monotonic`; None: when all choices have been tried.
        listener: Called with the state after every change.
    """

    def __init__(
        self,
        tasks: list[Task],
        trials: Trials,
        database: Database,
        *,
        target: str,
        schedules: str,
        whole: float,
        until: float | None = None,
        listener: Callable[[Tuning], None] = lambda progress: None,
    ) -> None:
        self._trials, self._database, self._target, self._schedules = trials, database, target, schedules
        self._until, self._listener = until, listener
        self._took: list[float] = []
        self._lock, self._lost_in_a_row = threading.Lock(), 0
        self.progress = Tuning(tasks, whole)
        by_key = {task.workload.key: task for task in tasks}
        for each in database.of(target, schedules):
            task = by_key.get(each.workload)
            if task is None or task.choices[0].as_json() != each.baseline:
                continue
            choice = next((choice for choice in task.choices[1:] if choice.as_json() == each.choice), None)
            if choice:
                task.note(choice, each.stage, math.inf if each.ratio is None else each.ratio)

    def run(self) -> Tuning:
        """Search until the time is over or all choices have been tried, and return the result.

        Raises:
            CannotRunHere: No board measures any more; all measurements are kept.
        """
        tasks = self.progress.tasks
        while self._goes_on() and (looks := [task.next_looks() for task in tasks]) and any(looks):
            self._stage("first", _by_turns(tasks, looks))
            self._settle()
        self._settle()  # choices that an interrupted run has not confirmed
        # Finally the network that will be compiled is measured as a whole; choices that do not help are vetoed.
        while kept := self._kept():
            self._stage("confirmed", [kept])
            if self.progress.measured is None or self.progress.measured <= 1 - LEAST_WHOLE_GAIN:
                break
        return self.progress

    def _kept(self) -> dict[str, Choice]:
        return {task.workload.key: task.best[1] for task in self.progress.tasks if task.best[0] < 1}

    def _settle(self) -> None:
        tasks = self.progress.tasks
        self._stage("final", _by_turns(tasks, [task.finalists() for task in tasks]))
        winners = {task.workload.key: winner for task in tasks if (winner := task.winner())}
        if winners:
            self._stage("confirmed", [self._kept() | winners])  # together with the choices that are already confirmed

    def _stage(self, stage: Stage, networks: Sequence[Mapping[str, Choice]]) -> None:
        self.progress.stage = stage
        self._listener(self.progress)
        with ThreadPoolExecutor(self._trials.places) as pool:
            waiting = [pool.submit(self._trial, stage, choices) for choices in networks]
            try:
                for done in waiting:
                    done.result()
            finally:
                for left in waiting:
                    left.cancel()

    def _trial(self, stage: Stage, choices: Mapping[str, Choice]) -> None:
        if stage == "first" and not self._goes_on():
            return
        begin = time.monotonic()
        tasks = {task.workload.key: task for task in self.progress.tasks}
        try:
            results = self._trials.run(choices, SECONDS[stage])
        except Lost as error:
            with self._lock:
                self._lost(error)
                if stage != "confirmed":
                    for key, choice in choices.items():  # not again in this run
                        tasks[key].note(choice, stage, math.inf)
            return
        with self._lock:
            self._lost_in_a_row = 0
            self._took.append(time.monotonic() - begin)
            whole = results.pop("").ratio
            if stage == "confirmed":
                self.progress.measured = whole
            if stage == "confirmed" and whole > 1 - LEAST_WHOLE_GAIN:
                for key in self._suspects(choices, results):
                    del results[key]
            measured = [
                self._measurement(tasks[key], choice, stage, results.get(key)) for key, choice in choices.items()
            ]
            self._database.append(measured)
            for each, choice in zip(measured, choices.values(), strict=True):
                tasks[each.workload].note(choice, stage, math.inf if each.ratio is None else each.ratio)
            self.progress.trials += 1
            self.progress.left_s = self._left()
            self._listener(self.progress)

    def _suspects(self, choices: Mapping[str, Choice], results: Mapping[str, Result]) -> list[str]:
        """Return the `choices` to veto as the network is no faster: the half of the new ones that gains least.

        If none is new, half of all.
        """
        tasks = {task.workload.key: task for task in self.progress.tasks}
        new = [key for key, choice in choices.items() if not tasks[key].known(choice).get("confirmed")]
        made = [key for key in new or choices if key in results]
        by_gain = sorted(made, key=lambda key: tasks[key].share * (1 - results[key].ratio))
        return by_gain[: (len(by_gain) + 1) // 2]

    def _measurement(self, task: Task, choice: Choice, stage: Stage, found: Result | None) -> Measurement:
        return Measurement(
            schedules=self._schedules,
            target=self._target,
            workload=task.workload.key,
            choice=choice.as_json(),
            baseline=task.choices[0].as_json(),
            stage=stage,
            seconds=found and found.seconds,
            by_rule=found and found.by_rule,
            ratio=found and found.ratio,
        )

    def _lost(self, error: Lost) -> None:
        self.progress.lost += 1
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= GIVE_UP:
            problem = f"{GIVE_UP} measurements in a row were not completed: {error}"
            remedy = "Check the boards; all measurements are kept, and the same command continues from there."
            raise CannotRunHere(problem, remedy=remedy) from error

    def _goes_on(self) -> bool:
        """Whether there is time for another trial, and for the finals and the confirmation after it."""
        each = median(self._took) if self._took else 0.0
        return self._until is None or time.monotonic() + (FINALISTS + 2) * each < self._until

    def _left(self) -> float:
        """Return the seconds left for the run."""
        looks = max((task.allowed - task.looked_at for task in self.progress.tasks if not task.reason), default=0)
        rounds = looks * (1 + (FINALISTS + 1) / LOOKS) / self._trials.places
        expected = rounds * (median(self._took) if self._took else 0.0)
        return expected if self._until is None else min(expected, max(self._until - time.monotonic(), 0.0))


def _by_turns(tasks: Iterable[Task], choices: Iterable[Sequence[Choice]]) -> list[dict[str, Choice]]:
    """Return networks as choices by workload: the first one has every task's first choice, and so on."""
    networks: list[dict[str, Choice]] = []
    for task, offered in zip(tasks, choices, strict=True):
        for place, choice in enumerate(offered):
            if place == len(networks):
                networks.append({})
            networks[place][task.workload.key] = choice
    return networks


def compare(by_rule: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> Result:
    """Return the medians of seconds [turns, inferences per turn], and the median of the turns' ratios."""
    ratios = np.median(other, axis=1) / np.median(by_rule, axis=1)
    return Result(float(np.median(other)), float(np.median(by_rule)), float(np.median(ratios)))
