"""The workloads in the order they are asked; the first that takes an operator lowers its region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.regions.plain import is_plain_elementwise, matrix_of
from edgec.targets.tvm.schedules import conv, global_pool, injective, matmul, rows, window
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
    Rule("matmul", matmul.match, matmul.lower),
    Rule("rows", rows.match, rows.lower),
    Rule("elementwise", lambda node: False, injective.lower_elementwise),
)


def rule_of(node: Node) -> str | None:
    """Return the name of the first rule that takes `node` as anchor."""
    return next((rule.name for rule in RULES if rule.match(node)), None)


def fits_plain(rule: str, anchor: Node, node: Node) -> bool:
    """Whether `node` may join the region of `anchor`, a matrix product or work along rows."""
    if rule == "matmul":
        return anchor.shape is not None and is_plain_elementwise(node, *matrix_of(anchor.shape))
    whole, columns = matrix_of(anchor.args[0].shape)
    if rows.reduces_rows(node):
        return not node.packed and matrix_of(node.args[0].shape or ()) == (whole, columns)
    return is_plain_elementwise(node, whole, columns) or is_plain_elementwise(node, whole, 1)


def lower_region(region: Region, model: TargetModel) -> Kernel:
    """Return the kernel of `region`, whose rule is set."""
    return next(rule for rule in RULES if rule.name == region.rule).lower(region, model)
