"""Checks every node against the board's TensorRT: supported, supported after a rewrite, or not supported and why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.graph import dtype_of, opset
from edgec.targets.base import Finding
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.legalize.lower_opset import obstacle
from edgec.targets.tensorrt.limits import Limits, known_limits
from edgec.targets.tensorrt.refusals import ANY_NODE, REFUSALS

TYPE_NAMES = {
    np.dtype(np.float32): "FP32",
    np.dtype(np.float16): "FP16",
    np.dtype(np.float64): "FP32",
    np.dtype(np.int8): "INT8",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.bool_): "BOOL",
}
"""numpy type -> TensorRT type; remaining doubles are refused separately."""

TYPE_ELSEWHERE = frozenset(
    {"Cast", "Constant", "ConstantOfShape", "EyeLike", "If", "Loop", "OneHot", "Range", "Scan", "Where"}
)
"""Operators for which the table gives the type of another value than the first input."""


def check(model: ir.Model, limits: Limits) -> tuple[Finding, ...]:
    """Return one finding for every node of `model`, which is not modified.

    A node is refused if its rewrite still contains a refused node.

    Args:
        model: Model with static shapes after the passes, because before them weights may be hidden behind an Identity.
        limits: Limits of the board's TensorRT.
    """
    copy = model.clone()
    for index, node in enumerate(copy.graph.all_nodes()):
        node.name = node.name or f"{node.op_type}_{index}"
    nodes = [(node.name or "", node.op_type) for node in copy.graph.all_nodes()]
    rewrites = {rewrite.where: rewrite.done for rewrite in legalize(copy, limits)}
    refused = {finding.where: finding for finding in refusals(copy, limits)}
    return tuple(_finding(name, op_type, rewrites, refused) for name, op_type in nodes)


def refusals(model: ir.Model, limits: Limits) -> tuple[Finding, ...]:
    """Return a finding for every node of the legalized `model` that TensorRT would reject or read wrongly."""
    return tuple(
        Finding(node.name or node.outputs[0].name or "", node.op_type, "refused", reason, _remedy(node, model, limits))
        for node in model.graph.all_nodes()
        if (reason := why_refused(node, opset(model), limits))
    )


def why_refused(node: ir.Node, model_opset: int, limits: Limits) -> str | None:
    """Return why TensorRT would reject `node` or read it wrongly, in one sentence; None if there is none."""
    if node.domain not in ("", "ai.onnx"):
        return f"operator of the domain {node.domain!r}, which TensorRT's parser does not support"
    if node.op_type not in limits.operators:
        return "TensorRT's parser does not support the operator"
    for reason in (obstacle(node, model_opset, limits.max_opset), _type_problem(node, limits)):
        if reason:
            return reason
    for refusal in (*REFUSALS.get(node.op_type, ()), *ANY_NODE):
        if reason := refusal(node, limits):
            return reason
    return None


REMEDIES = {
    "If": "Export the branch that is taken, with torch.onnx.export on the eager model.",
    "Loop": "Export with the loop unrolled: a fixed number of steps.",
    "NonMaxSuppression": "Export without it, and apply it on the host to the network's boxes and scores.",
    "QuantizeLinear": "Quantize with `edgec quantize --style tensorrt`: symmetric int8.",
    "DequantizeLinear": "Quantize with `edgec quantize --style tensorrt`: symmetric int8.",
}
"""Remedies for refused operators, if there is more to say than to export without them."""

FP64_REMEDY = "Export the model in float32 (model.float() before torch.onnx.export); no TensorRT has float64."


def _remedy(node: ir.Node, model: ir.Model, limits: Limits) -> str:
    for newer in known_limits():
        if newer > limits and why_refused(node, opset(model), newer) is None:
            return f"TensorRT {newer.version} supports it: choose a board that has it."
    if any(dtype_of(value) == np.float64 for value in (*node.inputs, *node.outputs)):
        return FP64_REMEDY
    return REMEDIES.get(node.op_type, "Export the model without it, or with simpler operators in its place.")


def _type_problem(node: ir.Node, limits: Limits) -> str | None:
    dtype = dtype_of(node.inputs[0]) if node.inputs else None
    if dtype is None or node.op_type in TYPE_ELSEWHERE:
        return None
    name = TYPE_NAMES.get(dtype, dtype.name)
    if name == "INT64" and not limits.has_int64:
        name = "INT32"
    if name in limits.operators[node.op_type]:
        return None
    return f"data of type {name}, but TensorRT supports {' '.join(sorted(limits.operators[node.op_type]))}"


def _finding(name: str, op_type: str, rewrites: dict[str, str], refused: dict[str, Finding]) -> Finding:
    # The nodes of a rewrite are named after the node that they replace.
    for where, finding in refused.items():
        if where == name or (name in rewrites and where.startswith(f"{name}_")):
            return Finding(name, op_type, "refused", finding.reason, finding.remedy)
    if name in rewrites:
        return Finding(name, op_type, "rewritten", rewrites[name])
    return Finding(name, op_type, "supported")
