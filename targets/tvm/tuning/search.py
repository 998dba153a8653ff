"""The search: rounds of first looks, finals and a confirmation, each a network in which many layers try something else.

In one trial every layer runs one choice of its own, so a whole network is measured at a time, beside the rules' network
and by turns. In a round each layer looks at its next `LOOKS` choices; the best go to the finals, measured longer; the
winners of all layers are then measured together, and only what is faster there is kept as confirmed.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

import numpy as np

from edgec.targets.tvm.schedules.choices import Choice, Workload
from edgec.targets.tvm.tuning.database import LEAST_GAIN, Database, Measurement, Stage

LOOKS, FINALISTS = 6, 2
"""Choices of a layer that a round looks at, and how many of the best so far are measured again."""
SECONDS: Mapping[Stage, float] = {"first": 1.0, "final": 2.5, "confirmed": 4.0}
"""How long two networks are measured by turns."""
FULL_SHARE, LEAST_SHARE = 0.02, 0.002
"""Shares of the network's time from which a layer gets all its trials, and below which it gets none."""
NEAR_PEAK = 0.9
"""Share of the board's peak above which a layer is left as it is."""


@dataclass(frozen=True)
class Result:
    """What one trial says of one workload: medians, the choice and the rule by turns; see `Measurement`."""

    seconds: float
    by_rule: float
    ratio: float


class Trials(Protocol):
    """Measures networks."""

    places: int
    """How many trials may run at once."""

    def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        """Return what `choices` (by workload) take beside the rules', and "" -> the whole network.

        Raises:
            Lost: It could not be measured.
        """


@dataclass
class Task:
    """A workload to tune: its choices, the rule's first, and what is known of each."""

    workload: Workload
    choices: Sequence[Choice]
    seconds: float
    """Of the rule's choice in one inference."""
    share: float
    """Of the network's time."""
    reason: str = ""
    """Why it is not tuned; empty if it is."""
    allowed: int = 0
    """How many choices are looked at."""
    ratios: dict[str, dict[Stage, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Choice -> stage -> ratios to the rule's time; infinite where it cannot be made."""

    @property
    def best(self) -> tuple[float, Choice]:
        """Ratio and choice that are confirmed; 1 and the rule's where nothing is faster."""
        chosen = [(median(found), choice) for choice in self.choices if (found := self._at(choice, "confirmed"))]
        ratio, choice = min(chosen, key=lambda entry: entry[0], default=(1.0, self.choices[0]))
        return (ratio, choice) if ratio <= 1 - LEAST_GAIN else (1.0, self.choices[0])

    @property
    def looked_at(self) -> int:
        """How many choices were measured."""
        return sum(bool(self.known(choice)) for choice in self.choices[1 : self.allowed + 1])

    def known(self, choice: Choice) -> dict[Stage, list[float]]:
        """Return what was measured of `choice`."""
        return self.ratios.get(_text(choice), {})

    def note(self, choice: Choice, stage: Stage, ratio: float) -> None:
        """Add a measurement."""
        self.ratios[_text(choice)][stage].append(ratio)

    def next_looks(self) -> list[Choice]:
        """Return the next choices of which nothing is known."""
        if self.reason:
            return []
        return [choice for choice in self.choices[1 : self.allowed + 1] if not self.known(choice)][:LOOKS]

    def finalists(self) -> list[Choice]:
        """Return the best of those not yet in the finals that may beat what is confirmed."""
        rivals = []
        for choice in self.choices[1:]:
            known = self.known(choice)
            if "final" not in known and "confirmed" not in known and known.get("first"):
                rivals.append((median(known["first"]), choice))
        rivals = [entry for entry in rivals if entry[0] < self.best[0] * (1 - LEAST_GAIN / 2)]
        return [choice for _, choice in sorted(rivals, key=lambda entry: entry[0])[:FINALISTS]]

    def winner(self) -> Choice | None:
        """Return the choice to confirm: the best of the finals, if it has not been confirmed and may be an advance."""
        finals = [
            (median(found), choice)
            for choice in self.choices[1:]
            if (found := self._at(choice, "final")) and not self._at(choice, "confirmed")
        ]
        ratio, choice = min(finals, key=lambda entry: entry[0], default=(1.0, None))
        return choice if ratio <= min(self.best[0], 1 - LEAST_GAIN) else None

    def _at(self, choice: Choice, stage: Stage) -> list[float]:
        return [ratio for ratio in self.known(choice).get(stage, []) if math.isfinite(ratio)]


def _text(choice: Choice) -> str:
    return repr(choice)


@dataclass
class Progress:
    """Where a run is: shown while it goes on, and at its end."""

    tasks: list[Task]
    seconds: float
    """Of the whole network by rule."""
    trials: int = 0
    left_s: float | None = None
    stage: str = ""
    lost: int = 0

    @property
    def ratio(self) -> float:
        """Expected time of the tuned network beside the rules'."""
        return 1 - sum(task.share * (1 - task.best[0]) for task in self.tasks)


def make_tasks(
    workloads: Mapping[Workload, Sequence[Choice]],
    times: Mapping[str, float],
    whole: float,
    peak: float,
    trials: int,
) -> list[Task]:
    """Return a task for every workload, the longest first, with what it may use of `trials` choices.

    Args:
        workloads: The choices for each.
        times: Seconds of each in an inference, by rule.
        whole: Seconds of the network.
        peak: Multiply-accumulates a second that the board can do.
        trials: Choices of a layer to look at, at most.
    """
    tasks = []
    for workload, choices in workloads.items():
        seconds = times.get(workload.key, 0.0)
        task = Task(workload, choices, seconds, seconds / whole)
        reached = workload.macs / (seconds * peak) if seconds else 0.0
        if len(choices) == 1:
            task.reason = "nothing to choose"
        elif task.share < LEAST_SHARE:
            task.reason = f"under {LEAST_SHARE:.1%} of the time"
        elif reached > NEAR_PEAK:
            task.reason = f"at {reached:.0%} of the peak"
        else:
            task.allowed = min(len(choices) - 1, math.ceil(trials * min(1.0, task.share / FULL_SHARE)))
        tasks.append(task)
    return sorted(tasks, key=lambda task: -task.seconds)


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
        listener: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._trials, self._database, self._target, self._schedules = trials, database, target, schedules
        self._until, self._listener = until, listener
        self._took: list[float] = []
        self.progress = Progress(tasks, whole)
        by_key = {task.workload.key: task for task in tasks}
        for each in database.of(target, schedules):
            task = by_key.get(each.workload)
            choice = task and next((choice for choice in task.choices if choice.as_json() == each.choice), None)
            if task and choice:
                task.note(choice, each.stage, math.inf if each.ratio is None else each.ratio)

    def run(self) -> Progress:
        """Search until the time is over or everything was looked at, and return what came out.

        Raises:
            Lost: No board measures any more; what was measured is kept.
        """
        tasks = self.progress.tasks
        while self._goes_on() and (looks := [task.next_looks() for task in tasks]) and any(looks):
            self._stage("first", _by_turns(tasks, looks))
            self._settle()
        self._settle()  # what an interrupted run has left
        return self.progress

    def _settle(self) -> None:
        tasks = self.progress.tasks
        self._stage("final", _by_turns(tasks, [task.finalists() for task in tasks]))
        winners = {task.workload.key: winner for task in tasks if (winner := task.winner())}
        if winners:
            # Beside what is confirmed already: the network that will be compiled.
            kept = {task.workload.key: task.best[1] for task in tasks if task.best[0] < 1}
            self._stage("confirmed", [kept | winners])

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
        results = self._trials.run(choices, SECONDS[stage])
        self._took.append(time.monotonic() - begin)
        whole = results.pop("", None)
        worse = stage == "confirmed" and whole is not None and whole.ratio >= 1
        tasks = {task.workload.key: task for task in self.progress.tasks}
        measurements = []
        for key, choice in choices.items():
            found = results.get(key)
            ratio = None if found is None else max(found.ratio, 1.0) if worse else found.ratio
            measurements.append(
                Measurement(
                    schedules=self._schedules,
                    target=self._target,
                    workload=key,
                    choice=choice.as_json(),
                    stage=stage,
                    seconds=found and found.seconds,
                    by_rule=found and found.by_rule,
                    ratio=ratio,
                )
            )
        self._database.append(measurements)
        for each, choice in zip(measurements, choices.values(), strict=True):
            tasks[each.workload].note(choice, stage, math.inf if each.ratio is None else each.ratio)
        self.progress.trials += 1
        self.progress.left_s = self._left()
        self._listener(self.progress)

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
