"""The alternatives for a region: the plans worth measuring, the default one first.

A plan also decides how weights are packed, so it is chosen before a kernel is written, not by rewriting a finished one.
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
    """The name of a rule and one of its plans, a dataclass."""

    rule: str
    plan: Any

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, which are equal for equal choices."""
        return {"rule": self.rule, **asdict(self.plan)}

    @property
    def macs_saved(self) -> float:
        """Multiply-accumulates of the direct method for each one of this choice."""
        return next((rule.tuning.macs_saved for rule in rules.RULES if rule.name == self.rule and rule.tuning), 1.0)


def workload_of(region: Region) -> Workload | None:
    """Return the workload of `region`; None if there is nothing to choose."""
    tuning = region.rule.tuning if region.rule else None
    return tuning.workload(region) if tuning else None


def choices_of(region: Region, cpu: CpuModel) -> list[Choice]:
    """Return the choices for a region that has a workload: the default, then the others, promising ones first.

    Choices of its own rule and of competing rules alternate.
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
    """Return the kernel of `region`: the default, or that of `choice`, one of `choices_of(region, cpu)`."""
    assert region.rule is not None
    if choice is None:
        return replace(region.rule.lower(region, cpu), rule=region.rule.name)
    rule = next(rule for rule in rules.RULES if rule.name == choice.rule)
    assert rule.tuning is not None
    return replace(rule.tuning.lower(region, cpu, choice.plan), rule=rule.name)


def _in_turn(one: Sequence[Choice], other: Sequence[Choice]) -> list[Choice]:
    """Return the elements of both, alternating until the shorter one ends."""
    paired = [choice for pair in zip(one, other, strict=False) for choice in pair]
    return [*paired, *one[len(other) :], *other[len(one) :]]
