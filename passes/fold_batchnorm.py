"""Folds BatchNormalization into the layer before it, else the Conv after it, else one scale and shift."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import bypass, graph_of, insert_before, substitute
from edgec.model.graph import Array, add_constant, attribute, constant, label
from edgec.model.traits import LINEAR
from edgec.passes.base import Pass, PassReport
from edgec.passes.canonicalize.operands import own_producer, rank_of
from edgec.passes.scale_shift import channel_axis, fold_into_consumers, fold_into_producer

PARAMETERS = ("scale", "bias", "mean", "variance")


class FoldBatchNorm(Pass):
    """Remove every BatchNormalization in inference mode.

    It computes y = x * s + t with s = scale / sqrt(variance + epsilon), t = bias - mean * s (ONNX operator reference),
    computed in float64. In order of preference:

    1. the layer before it (Conv, ConvTranspose, Gemm, MatMul) takes s and t, if nothing else reads its output:
       W' = W * s, b' = b * s + t;
    2. the Convs after it take s and t, if only they read y and they do not pad, or t is 0;
    3. Mul by s and Add of t replace it. The reasons against 1 and 2 are reported.

    It stays, with a reason, in training mode, or if parameters are computed or give no finite scale.
    """

    name = "fold_batchnorm"
    tolerance = 1e-5

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place."""
        changes: list[str] = []
        refusals: list[tuple[str, str]] = []
        for node in list(model.graph.all_nodes()):
            if node.domain != "" or node.op_type != "BatchNormalization":
                continue
            name = label(node)
            line = _scale_and_shift(node)
            if isinstance(line, str):
                refusals.append((name, f"left as it is: {line}"))
                continue
            change, reason = _fold(node, *line)
            changes.append(change)
            if reason is not None:
                refusals.append((name, reason))
        return PassReport(model, bool(changes), tuple(changes), tuple(refusals))


def _scale_and_shift(node: ir.Node) -> tuple[Array, Array] | str:
    """Return s and t, float64 [channels], or the reason why they cannot be computed."""
    if attribute(node, "training_mode", 0):
        return "it is in training mode and normalizes by batch statistics"
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "its statistics are outputs that are used"
    arrays = []
    for what, value in zip(PARAMETERS, node.inputs[1:], strict=True):
        array = constant(value)
        if array is None:
            return f"its {what} is not constant"
        arrays.append(array.astype(np.float64))
    scale, bias, mean, variance = arrays
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        shift = bias - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        return "variance + epsilon is not positive, or a parameter is not finite"
    return factor, shift


def _fold(node: ir.Node, scale: Array, shift: Array) -> tuple[str, str | None]:
    """Remove `node`; return what was done and, if a Mul and an Add remain, why."""
    name = label(node)
    x = node.inputs[0]
    producer = x.producer() if x is not None else None
    before = name if producer is None else label(producer)
    after = ", ".join(label(use.node) for use in node.outputs[0].uses())
    reason = _into_producer(node, scale, shift)
    if reason is None:
        return f"{before}: batch norm folded", None
    after_reason = _into_consumers(node, scale, shift)
    if after_reason is None:
        return f"{after}: batch norm before it folded", None
    _write_out(node, scale, shift)
    return f"{name}: batch norm written as Mul and Add", f"written as Mul and Add: {reason}; {after_reason}"


def _into_producer(node: ir.Node, scale: Array, shift: Array) -> str | None:
    x = node.inputs[0]
    producer = x.producer() if x is not None else None
    if x is None or producer is None or producer.domain != "" or producer.op_type not in LINEAR:
        return "no linear layer is before it"
    if own_producer(x, *LINEAR) is None:
        return f"the output of {label(producer)} before it has other readers"
    rank = rank_of(x)
    if rank is None or channel_axis(producer) % rank != 1:
        return f"the channels of {label(producer)} before it lie along another axis"
    if producer.op_type != "MatMul":
        reason = fold_into_producer(producer, scale, shift)
        if reason is None:
            bypass(node, x)
        return None if reason is None else f"{label(producer)} before it cannot take scale and shift: {reason}"
    # A MatMul takes the scale; the shift remains as an Add, the bias of every MatMul.
    reason = fold_into_producer(producer, scale, None)
    if reason is not None:
        return f"{label(producer)} before it cannot take the scale: {reason}"
    substitute(node, "Add", [x, _per_channel(node, "shift", shift)])
    return None


def _into_consumers(node: ir.Node, scale: Array, shift: Array) -> str | None:
    x, y = node.inputs[0], node.outputs[0]
    uses = list(y.uses())
    if y.is_graph_output() or not uses or x is None:
        return "its output is an output of the model"
    other = next((use.node for use in uses if use.node.op_type != "Conv" or use.idx != 0), None)
    if other is not None:
        return f"{label(other)} ({other.op_type}) after it is not a Conv"
    reason = fold_into_consumers(y, scale, shift)
    if reason is not None:
        return reason
    bypass(node, x)
    return None


def _write_out(node: ir.Node, scale: Array, shift: Array) -> None:
    x, y = node.inputs[0], node.outputs[0]
    shape = y.shape.numpy() if y.shape is not None and y.shape.is_static() else None
    scaled = insert_before(node, "Mul", [x, _per_channel(node, "scale", scale)], stem=f"{y.name}_scaled", shape=shape)
    substitute(node, "Add", [scaled, _per_channel(node, "shift", shift)])


def _per_channel(node: ir.Node, what: str, array: Array) -> ir.Value:
    """Add `array` [channels] as a constant that broadcasts along axis 1 of the input of `node`."""
    x = node.inputs[0]
    rank = rank_of(x) or 4
    dtype = x.dtype.numpy() if x is not None and x.dtype is not None else np.dtype(np.float32)
    shaped = array.astype(dtype).reshape(-1, *[1] * (rank - 2))
    return add_constant(graph_of(node), f"{node.outputs[0].name}_{what}", shaped)
