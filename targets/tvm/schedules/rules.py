"""The workloads in the order they are asked; the first that takes an operator lowers its region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.schedules.common import window
from edgec.targets.tvm.schedules.common.kernel import Kernel
from edgec.targets.tvm.schedules.common.plain_expression import is_plain_elementwise, matrix_of
from edgec.targets.tvm.schedules.float import conv, winograd
from edgec.targets.tvm.schedules.int8 import conv as conv_int8
from edgec.targets.tvm.schedules.int8 import conv_widening, depthwise_widening
from edgec.targets.tvm.schedules.int8 import dense as dense_int8
from edgec.targets.tvm.schedules.int8 import depthwise as depthwise_int8
from edgec.targets.tvm.schedules.int8 import winograd as winograd_int8
from edgec.targets.tvm.schedules.packed import channels, global_pool, injective, resize
from edgec.targets.tvm.schedules.plain import bytes as bytes_plain
from edgec.targets.tvm.schedules.plain import columns, matmul, recurrent, rows
from edgec.targets.tvm.schedules.plain import elementwise as plain
from edgec.targets.tvm.target_model import TargetModel


@dataclass(frozen=True)
class Rule:
    """One workload: which anchors it takes and how it lowers their region."""

    name: str
    match: Callable[[Node, TargetModel], bool]
    lower: Callable[[Region, TargetModel], Kernel]


RULES = (
    Rule("winograd_int8", winograd_int8.match, winograd_int8.lower),
    Rule("conv_widening", conv_widening.match, conv_widening.lower),
    Rule("conv_int8", lambda node, _: conv_int8.match(node), conv_int8.lower),
    Rule("depthwise_widening", depthwise_widening.match, depthwise_widening.lower),
    Rule("depthwise_int8", lambda node, _: depthwise_int8.match(node), depthwise_int8.lower),
    Rule("dense_int8", lambda node, _: dense_int8.match(node), dense_int8.lower),
    Rule("pack_bytes", lambda node, _: bytes_plain.match_pack(node), bytes_plain.lower_pack),
    Rule("bytes", lambda node, _: bytes_plain.match(node), plain.lower),
    Rule("depthwise", lambda node, _: window.match_depthwise(node), window.lower_depthwise),
    Rule("winograd", winograd.match, winograd.lower),
    Rule("conv", lambda node, _: conv.match(node), conv.lower),
    Rule("pool", lambda node, _: window.match_pool(node), window.lower_pool),
    Rule("global_pool", lambda node, _: global_pool.match(node), global_pool.lower),
    Rule("concat", lambda node, _: injective.match_concat(node), injective.lower_concat),
    Rule("upsample", lambda node, _: injective.match_upsample(node), injective.lower_upsample),
    Rule("channels", lambda node, _: channels.match(node), channels.lower),
    Rule("resize", lambda node, _: resize.match(node), resize.lower),
    Rule("interleave", lambda node, _: injective.match_interleave(node), injective.lower_interleave),
    Rule("recurrent", lambda node, _: recurrent.match(node), recurrent.lower),
    Rule("matmul", lambda node, _: matmul.match(node), matmul.lower),
    Rule("rows", lambda node, _: rows.match(node), rows.lower),
    Rule("columns", lambda node, _: columns.match(node), columns.lower),
    Rule("plain", lambda node, _: plain.match(node), plain.lower),
    Rule("elementwise", lambda node, _: False, injective.lower_elementwise),
)


def rule_of(node: Node, model: TargetModel) -> str | None:
    """Return the name of the first rule that takes `node` as anchor."""
    return next((rule.name for rule in RULES if rule.match(node, model)), None)


def fits_plain(rule: str, anchor: Node, node: Node) -> bool:
    """Whether `node` may join the region of `anchor`, whose rule works on plain tensors."""
    if rule in ("bytes", "dense_int8", "matmul", "plain"):
        return anchor.shape is not None and is_plain_elementwise(node, *matrix_of(anchor.shape))
    if rule == "recurrent":
        return False
    if rule == "columns":
        return columns.fits(anchor, node)
    whole, width = matrix_of(anchor.args[0].shape)
    if rows.reduces_rows(node):
        return not node.packed and matrix_of(node.args[0].shape or ()) == (whole, width)
    return is_plain_elementwise(node, whole, width) or is_plain_elementwise(node, whole, 1)


PLANNED: dict[str, Callable[[Region, TargetModel, Any], Kernel]] = {
    "conv": conv.lower,
    "winograd": winograd.lower,
    "depthwise": window.lower_depthwise,
    "matmul": matmul.lower,
}
"""How the rules of `choices.TUNABLE` lower a region by a plan of their own."""


def lower_region(region: Region, model: TargetModel, choice: Choice | None = None) -> Kernel:
    """Return the kernel of `region`, whose rule is set: by `choice`, one of `choices_of(region, model)`, or by rule."""
    if choice is not None:
        return PLANNED[choice.rule](region, model, choice.plan)
    return next(rule for rule in RULES if rule.name == region.rule).lower(region, model)
