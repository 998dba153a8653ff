"""The search: rounds of first looks, finals and a confirmation, each a network in which many layers try something else.

In one trial every layer runs one choice of its own, so a whole network is measured at a time, beside the rules' network
and by turns. In a round each layer looks at its next `LOOKS` choices; the best go to the finals, measured longer; the
winners of all layers are then measured together, and only what is faster there is kept as confirmed.
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
"""How long two networks are measured by turns."""
LEAST_WHOLE_GAIN = 0.01
"""A network has to be faster by so much, or some of its choices are vetoed."""
GIVE_UP = 3
"""Trials in a row that no board brings to an end."""


@dataclass(frozen=True)
class Result:
    """What one trial says of one workload: medians, the choice and the rule by turns; see `Measurement`."""

    seconds: float
    by_rule: float
    ratio: float


class Lost(Exception):
    """No attempt at a measurement came to an end."""


class Trials(Protocol):
    """Measures networks."""

    places: int
    """How many trials may run at once."""

    def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        """Return what `choices` (by workload) take beside the rules', and "" -> the whole network.

        Raises:
            Lost: It could not be measured.
        """


@dataclass(repr=False)
class Tuning:
    """Where a tuning run is: shown while it goes on, and what came out at its end."""

    tasks: list[Task]
    seconds: float
    """Of the whole network by rule."""
    trials: int = 0
    left_s: float | None = None
    stage: str = ""
    lost: int = 0
    measured: float | None = None
    """Time of the whole network beside the rules', as the last confirmation measured it."""

    def __repr__(self) -> str:
        changed = sum(task.best[0] < 1 for task in self.tasks)
        times = f"{1e3 * self.seconds:.3g} ms untuned, {1e3 * self.seconds * self.ratio:.3g} ms tuned"
        return f"<Tuning: {changed} of {len(self.tasks)} layers changed, {times}, {self.trials} trials>"

    @property
    def ratio(self) -> float:
        """Time of the tuned network beside the rules': as measured, or else by the layers that are confirmed."""
        if not any(task.best[0] < 1 for task in self.tasks):
            return 1.0
        if self.measured is not None:
            return self.measured
        return 1 - sum(task.share * (1 - task.best[0]) for task in self.tasks)


class Search:
    """One tuning run.

    Args:
        tasks: What to tune; measurements of `database` are noted in them.
        trials: Measures networks.
        database: Takes every measurement as it comes.
        target: `target_key` of the board.
        schedules: `schedule_version` of the kernels.
        whole: Seconds of the network by rule.
        until: When to stop, as `time.monotonic` counts; None: when all choices are looked at.
        listener: Called whenever there is something new.
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
        """Search until the time is over or everything was looked at, and return what came out.

        Raises:
            CannotRunHere: No board measures any more; what was measured is kept.
        """
        tasks = self.progress.tasks
        while self._goes_on() and (looks := [task.next_looks() for task in tasks]) and any(looks):
            self._stage("first", _by_turns(tasks, looks))
            self._settle()
        self._settle()  # what an interrupted run has left
        # Last, what will be compiled, as a whole; what makes it no faster goes.
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
            self._stage("confirmed", [self._kept() | winners])  # beside what is confirmed already

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
        """Return which of `choices` to veto, the network being no faster: half of the new ones, those that gain least.

        Where none is new, half of all.
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
            problem = f"{GIVE_UP} measurements in a row came to no end: {error}"
            remedy = "See to the boards; what was measured is kept, and the same command goes on."
            raise CannotRunHere(problem, remedy=remedy) from error

    def _goes_on(self) -> bool:
        """Whether there is time for another trial, and for the finals and the confirmation after it."""
        each = median(self._took) if self._took else 0.0
        return self._until is None or time.monotonic() + (FINALISTS + 2) * each < self._until

    def _left(self) -> float:
        """Return the seconds that the run may still take."""
        looks = max((task.allowed - task.looked_at for task in self.progress.tasks if not task.reason), default=0)
        rounds = looks * (1 + (FINALISTS + 1) / LOOKS) / self._trials.places
        expected = rounds * (median(self._took) if self._took else 0.0)
        return expected if self._until is None else min(expected, max(self._until - time.monotonic(), 0.0))


def _by_turns(tasks: Iterable[Task], choices: Iterable[Sequence[Choice]]) -> list[dict[str, Choice]]:
    """Return networks: the first has every task's first choice, and so on."""
    networks: list[dict[str, Choice]] = []
    for task, offered in zip(tasks, choices, strict=True):
        for place, choice in enumerate(offered):
            if place == len(networks):
                networks.append({})
            networks[place][task.workload.key] = choice
    return networks


def compare(by_rule: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> Result:
    """Return what seconds [turns, inferences of a turn] say: medians, and the median of the turns' ratios."""
    ratios = np.median(other, axis=1) / np.median(by_rule, axis=1)
    return Result(float(np.median(other)), float(np.median(by_rule)), float(np.median(ratios)))
