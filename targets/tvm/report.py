"""`LoweringReport`: which rule lowered which function of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgec.targets.tvm.taps import Tap

FALLBACK = "fallback"


@dataclass
class LoweringReport:
    """Rule and tile of every TIR function; a function is listed once, and `calls` counts its uses."""

    rules: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    """Rules that failed, and the last line of the error."""
    workloads: dict[str, str] = field(default_factory=dict)
    """Function -> its workload, see `schedules.choices.workload_of`, if another plan could have been chosen."""
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Workload -> the choice of a tuning run that was used for it."""
    values: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    """Function and number of the call, from 0 -> values of the imported network that the call computes, in order."""
    taps: list[Tap] = field(default_factory=list)
    """Values that can be read while the network runs, in the order in which they are computed."""

    def add(self, function: str, rule: str, detail: str = "", workload: str = "") -> None:
        """Note one use of `function`, which `rule` lowered."""
        self.rules[function] = rule
        self.calls[function] += 1
        if workload:
            self.workloads[function] = workload
        if detail:
            self.details[function] = detail

    def computes(self, function: str, values: Iterable[str]) -> None:
        """Note the values that the last noted call of `function` computes."""
        self.values[function, self.calls[function] - 1] = tuple(name for name in values if name)

    def refuse(self, rule: str, operator: str, shape: tuple[int, ...] | None, reason: str) -> None:
        """Note that `rule` took an operator and then failed; the last line of the reason is kept."""
        lines = reason.strip().splitlines()
        self.refusals.append((f"{operator} {shape}", f"{rule}: {lines[-1] if lines else ''}"))

    def fallbacks(self) -> list[str]:
        """Return the functions that only the generic schedule took."""
        return sorted(name for name, rule in self.rules.items() if rule == FALLBACK)

    def left_out(self) -> list[tuple[str, str]]:
        """Return the parts of the network without a schedule, with the reason: the functions, then the refusals."""
        reason = "no schedule supports it, so TVM's unscheduled code runs"
        return [(name, reason) for name in self.fallbacks()] + self.refusals

    def counts(self) -> dict[str, int]:
        """Return the number of functions per rule."""
        return dict(Counter(self.rules.values()))
