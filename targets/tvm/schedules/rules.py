"""The workloads in the order they are asked; the first that takes an operator lowers its region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules import conv, global_pool, injective, window
from edgec.targets.tvm.schedules.kernel import Kernel
from edgec.targets.tvm.target_model import TargetModel


@dataclass(frozen=True)
class Rule:
    """One workload: which anchors it takes and how it lowers their region."""

    name: str
    match: Callable[[Node], bool]
    lower: Callable[[Region, TargetModel], Kernel]


RULES = (
    Rule("depthwise", window.match_depthwise, window.lower_depthwise),
    Rule("conv", conv.match, conv.lower),
    Rule("pool", window.match_pool, window.lower_pool),
    Rule("global_pool", global_pool.match, global_pool.lower),
    Rule("concat", injective.match_concat, injective.lower_concat),
    Rule("upsample", injective.match_upsample, injective.lower_upsample),
    Rule("interleave", injective.match_interleave, injective.lower_interleave),
    Rule("elementwise", lambda node: False, injective.lower_elementwise),
)


def rule_of(node: Node) -> str | None:
    """Return the name of the first rule that takes `node` as anchor."""
    return next((rule.name for rule in RULES if rule.match(node)), None)


def lower_region(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of `region`, whose rule is set."""
    return next(rule for rule in RULES if rule.name == region.rule).lower(region, model)
