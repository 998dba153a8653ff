"""What is known of a layer while it is tuned: which choices were measured, what comes next, what is best."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from edgec.targets.tvm.regions.rule import Workload
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.tuning.database import LEAST_GAIN, Stage, typical

LOOKS, FINALISTS = 6, 2
"""Choices of a layer that a round looks at, and how many of the best so far are measured again."""
FULL_SHARE, LEAST_SHARE = 0.02, 0.002
"""Shares of the network's time from which a layer gets all its trials, and below which it gets none."""
NEAR_PEAK = 0.9
"""Share of the board's peak above which a layer is left as it is."""


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
        chosen = [(typical(found), choice) for choice in self.choices[1:] if (found := self._at(choice, "confirmed"))]
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
        return self.known(choice).get(stage, [])


def _text(choice: Choice) -> str:
    return repr(choice)


def make_tasks(
    workloads: Mapping[Workload, Sequence[Choice]],
    times: Mapping[str, float],
    calls: Mapping[str, int],
    whole: float,
    peak: float,
    trials: int,
) -> list[Task]:
    """Return a task for every workload, the longest first, with what it may use of `trials` choices.

    Args:
        workloads: The choices for each.
        times: Seconds of each in an inference, by rule.
        calls: How often each is computed in it.
        whole: Seconds of the network.
        peak: Multiply-accumulates a second that the board can do.
        trials: Maximum number of candidates that are measured per layer.
    """
    tasks = []
    for workload, choices in workloads.items():
        seconds = times.get(workload.key, 0.0)
        task = Task(workload, choices, seconds, seconds / whole)
        macs = workload.macs / choices[0].macs_saved
        reached = macs * calls.get(workload.key, 0) / (seconds * peak) if seconds else 0.0
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
