"""The state of a layer that is tuned: which choices were measured, which come next, which is best."""

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
"""Number of choices per layer that a round tries, and number of the best so far that are measured again."""
FULL_SHARE, LEAST_SHARE = 0.02, 0.002
"""Share of the network's time from which a layer gets all its trials; share below which it gets none."""
NEAR_PEAK = 0.9
"""Share of the board's peak above which a layer is left as it is."""


@dataclass
class Task:
    """A workload to tune: its choices, the default first, and the measurements of each."""

    workload: Workload
    choices: Sequence[Choice]
    seconds: float
    """Time of the default choice in one inference."""
    share: float
    """Share of the network's time."""
    reason: str = ""
    """Reason for which it is not tuned; empty if it is."""
    allowed: int = 0
    """Maximum number of choices to try."""
    ratios: dict[str, dict[Stage, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Choice -> stage -> ratios to the default's time; infinity if it cannot be compiled."""

    @property
    def best(self) -> tuple[float, Choice]:
        """Confirmed ratio and choice; 1 and the default if none is faster."""
        chosen = [(typical(found), choice) for choice in self.choices[1:] if (found := self._at(choice, "confirmed"))]
        ratio, choice = min(chosen, key=lambda entry: entry[0], default=(1.0, self.choices[0]))
        return (ratio, choice) if ratio <= 1 - LEAST_GAIN else (1.0, self.choices[0])

    @property
    def looked_at(self) -> int:
        """Number of measured choices."""
        return sum(bool(self.known(choice)) for choice in self.choices[1 : self.allowed + 1])

    def known(self, choice: Choice) -> dict[Stage, list[float]]:
        """Return the measured ratios of `choice`."""
        return self.ratios.get(_text(choice), {})

    def note(self, choice: Choice, stage: Stage, ratio: float) -> None:
        """Add a measurement."""
        self.ratios[_text(choice)][stage].append(ratio)

    def next_looks(self) -> list[Choice]:
        """Return the next choices without measurements."""
        if self.reason:
            return []
        return [choice for choice in self.choices[1 : self.allowed + 1] if not self.known(choice)][:LOOKS]

    def finalists(self) -> list[Choice]:
        """Return the best choices that have not been in the finals and may beat the confirmed one."""
        rivals = []
        for choice in self.choices[1:]:
            known = self.known(choice)
            if "final" not in known and "confirmed" not in known and known.get("first"):
                rivals.append((median(known["first"]), choice))
        rivals = [entry for entry in rivals if entry[0] < self.best[0] * (1 - LEAST_GAIN / 2)]
        return [choice for _, choice in sorted(rivals, key=lambda entry: entry[0])[:FINALISTS]]

    def winner(self) -> Choice | None:
        """Return the choice to confirm: the best of the finals, if it is unconfirmed and may be faster."""
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
    """Return a task for every workload, the slowest first, with its share of `trials` choices.

    Args:
        workloads: The choices for each.
        times: Seconds of each in an inference of the untuned network.
        calls: Number of calls of each in an inference.
        whole: Seconds of the untuned network.
        peak: Maximum number of multiply-accumulates per second of the board.
        trials: Maximum number of candidates that are measured per layer.
    """
    tasks = []
    for workload, choices in workloads.items():
        seconds = times.get(workload.key, 0.0)
        task = Task(workload, choices, seconds, seconds / whole)
        macs = workload.macs / choices[0].macs_saved
        reached = macs * calls.get(workload.key, 0) / (seconds * peak) if seconds else 0.0
        if len(choices) == 1:
            task.reason = "it has only one choice"
        elif task.share < LEAST_SHARE:
            task.reason = f"it takes under {LEAST_SHARE:.1%} of the time"
        elif reached > NEAR_PEAK:
            task.reason = f"at {reached:.0%} of the peak"
        else:
            task.allowed = min(len(choices) - 1, math.ceil(trials * min(1.0, task.share / FULL_SHARE)))
        tasks.append(task)
    return sorted(tasks, key=lambda task: -task.seconds)
