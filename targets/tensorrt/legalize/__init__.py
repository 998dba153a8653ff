"""Rewrites that make a model legal for one version of TensorRT; the tests check each one with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgec.errors import InternalError
from edgec.model.graph import opset
from edgec.model.infer import infer_shapes
from edgec.model.traits import REDUCTIONS
from edgec.targets.tensorrt.legalize import (
    activations,
    fp64,
    grid_sample,
    indexing,
    int64,
    lower_opset,
    matmul,
    normalizations,
    quantize,
    reductions,
    scatter,
)
from edgec.targets.tensorrt.limits import Limits

Rule = Callable[[ir.Node, Limits], str | None]
"""Rewrites the node where that is needed and possible; returns what it did in one sentence, or None: not mine."""

OPERATOR_RULES: dict[str, tuple[Rule, ...]] = {
    "CastLike": (indexing.cast_like,),
    "Clip": (activations.clip,),
    "DequantizeLinear": (
        quantize.bias,
        quantize.stored_middle_to_zero,
        quantize.zero_point,
        quantize.axis,
        quantize.stored_weights,
    ),
    "Gelu": (activations.gelu,),
    "GridSample": (grid_sample.grid_sample,),
    "GroupNormalization": (normalizations.group_normalization,),
    "HardSwish": (activations.hard_swish,),
    "IsInf": (indexing.is_inf,),
    "LayerNormalization": (normalizations.layer_normalization,),
    "MatMul": (matmul.vector_matmul,),
    "Mish": (activations.mish,),
    "Mod": (indexing.mod,),
    "OneHot": (indexing.one_hot,),
    "QuantizeLinear": (quantize.middle_to_zero, quantize.zero_point, quantize.axis),
    "RMSNormalization": (normalizations.rms_normalization,),
    "ReduceMax": (reductions.integer_reduction,),
    "ReduceMin": (reductions.integer_reduction,),
    "ReduceProd": (reductions.integer_reduction,),
    "ReduceSum": (reductions.integer_reduction,),
    "ScatterElements": (scatter.scatter_elements,),
    "ScatterND": (scatter.scatter_nd,),
    "Shape": (indexing.shape_slice,),
    "Shrink": (activations.shrink,),
    "Slice": (int64.slice_bounds,),
    "Swish": (activations.swish,),
    "Trilu": (indexing.trilu,),
    "Xor": (indexing.xor,),
}
"""Put other operators in a node's place, all of the model's own opset."""

OPSET_RULES: dict[str, Rule] = {
    "GridSample": lower_opset.grid_sample,
    "Pad": lower_opset.pad,
    "Reshape": lower_opset.reshape,
    "Resize": lower_opset.resize,
    "Split": lower_opset.split,
    **dict.fromkeys(REDUCTIONS, lower_opset.reduction),
}
"""Give a node the form it has in the opset that the model goes down to; `inert_attributes` follows on every node."""

MAX_ROUNDS = 8
"""A rewrite may bring nodes that need one themselves; deeper chains than this mean that two rules undo each other."""

IR_VERSION = {13: 7, 17: 8, 20: 9}
"""File format that belongs to the opset."""


@dataclass(frozen=True)
class Rewrite:
    """One node that was rewritten: its name and operator, and what was done."""

    where: str
    op_type: str
    done: str


def legalize(model: ir.Model, limits: Limits) -> tuple[Rewrite, ...]:
    """Rewrite `model` (static shapes) in place for `limits`; what no rule can mend stays for the check to refuse.

    The opset is lowered to `limits.max_opset` only when every node allows it.
    """
    for graph in model.graph.subgraphs():
        graph.opset_imports[""] = opset(model)  # rules ask a node's graph for it
    done = [Rewrite(_name(node), node.op_type, fp64.DONE) for node in fp64.single_precision(model)]
    if done:
        infer_shapes(model)
    done += _rewrite_operators(model, limits)
    # Shapes are not inferred in between: half-way down, nodes are of two opsets.
    for node in list(model.graph.all_nodes()):
        done += _apply([OPSET_RULES.get(node.op_type), lower_opset.inert_attributes], node, limits)
    nodes = model.graph.all_nodes()
    if opset(model) > limits.max_opset and not any(
        lower_opset.obstacle(node, opset(model), limits.max_opset) for node in nodes
    ):
        for graph in model.graphs():
            graph.opset_imports[""] = limits.max_opset
        model.ir_version = min(model.ir_version, IR_VERSION[limits.max_opset])
        infer_shapes(model)
    return tuple(done)


def _rewrite_operators(model: ir.Model, limits: Limits) -> list[Rewrite]:
    done: list[Rewrite] = []
    for _ in range(MAX_ROUNDS):
        nodes = list(model.graph.all_nodes())
        latest = [entry for node in nodes for entry in _apply(OPERATOR_RULES.get(node.op_type, ()), node, limits)]
        if not latest:
            return done
        done += latest
        infer_shapes(model)
    raise InternalError(f"rules for TensorRT {limits.version} do not come to an end: {done[-1]}")


def _apply(rules: Sequence[Rule | None], node: ir.Node, limits: Limits) -> list[Rewrite]:
    if node.domain not in ("", "ai.onnx"):
        return []
    name, done = _name(node), []
    for rule in rules:
        if rule is None or node.graph is None:  # the rule before this one put others in its place
            continue
        sentence = rule(node, limits)
        if sentence is not None:
            done.append(Rewrite(name, node.op_type, sentence))
    return done


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""
