"""What a region could also be made of: the plans worth measuring, the one by rule first.

A plan decides how weights are packed too, so it is chosen before a kernel is written and not by rewriting a finished
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.rule import Kernel, Region, Workload
from edgec.targets.tvm.schedules import rules


@dataclass(frozen=True)
class Choice:
    """A rule, by its name, and one of its plans, a dataclass."""

    rule: str
    plan: Any

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; equal ones are equal choices."""
        return {"rule": self.rule, **asdict(self.plan)}

    @property
    def macs_saved(self) -> float:
        """Multiply-accumulates of the direct method for each that this choice does."""
        return next((rule.tuning.macs_saved for rule in rules.RULES if rule.name == self.rule and rule.tuning), 1.0)


def workload_of(region: Region) -> Workload | None:
    """Return the workload of `region`; None where there is nothing to choose."""
    tuning = region.rule.tuning if region.rule else None
    return tuning.workload(region) if tuning else None


def choices_of(region: Region, cpu: CpuModel) -> list[Choice]:
    """Return the choices for a region that has a workload: the one by rule, then the others, promising ones first.

    Those of its own rule and of rules that compete with it take turns.
    """
    assert region.rule is not None and region.rule.tuning is not None
    own, computed = region.rule, region.rule.tuning.workload
    result: list[Choice] = []
    for rule in (own, *(rule for rule in rules.RULES if rule is not own)):
        if rule.tuning is not None and rule.tuning.workload is computed:
            plans = dict.fromkeys(rule.tuning.plans(region.anchor, cpu))
            result = _in_turn(result, [Choice(rule.name, plan) for plan in plans])
    return result


def lower_region(region: Region, cpu: CpuModel, choice: Choice | None = None) -> Kernel:
    """Return the kernel of `region`: by its rule, or by `choice`, one of `choices_of(region, cpu)`."""
    assert region.rule is not None
    if choice is None:
        return replace(region.rule.lower(region, cpu), rule=region.rule.name)
    rule = next(rule for rule in rules.RULES if rule.name == choice.rule)
    assert rule.tuning is not None
    return replace(rule.tuning.lower(region, cpu, choice.plan), rule=rule.name)


def _in_turn(one: Sequence[Choice], other: Sequence[Choice]) -> list[Choice]:
    """Return both, by turns until the shorter ends."""
    paired = [choice for pair in zip(one, other, strict=False) for choice in pair]
    return [*paired, *one[len(other) :], *other[len(one) :]]
