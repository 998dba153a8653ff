"""What of ONNX the TVM back end runs: `refusal` tells of a node why not."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from tvm.relax.frontend.onnx import onnx_frontend

from edgec.model.graph import attribute, constant, scalar

STANDARD_DOMAINS = ("", "ai.onnx")
DYNAMIC = frozenset({"NonZero", "Unique", "Compress", "Loop", "Scan", "NonMaxSuppression", "RandomNormal"})
"""Operators whose output size (or very execution) depends on the data: the executor's memory plan is static."""
TYPES = frozenset(
    {
        *(ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.BOOL),
        *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
        *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)


def refusal(node: ir.Node) -> tuple[str, str] | None:
    """Return what of `node` cannot be run, a phrase that names its operator, and the reason; None if it can."""
    operator = name_of(node)
    if node.domain not in STANDARD_DOMAINS or node.op_type not in _converters():
        return operator, "TVM's importer does not have the operator"
    if node.op_type in DYNAMIC:
        return operator, "its output size depends on the data"
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.dtype is not None and value.dtype not in TYPES:
            return f"{operator} on {value.dtype.name.lower()}", "the TVM back end does not compute with this type"
    how = USES[node.op_type](node) if node.op_type in USES else None
    return None if how is None else (f"{operator} {how}", "TVM has the operator, but not this use of it")


def name_of(node: ir.Node) -> str:
    """Return the operator of `node`, with the domain unless it is ONNX's own."""
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}::{node.op_type}"


def _converters() -> set[str]:
    # Its Attention is ONNX Runtime's operator of that name.
    return {*onnx_frontend._get_convert_map(), "Constant", "If"} - {"Attention"}


def _batch_normalization(node: ir.Node) -> str | None:
    return "in training mode" if attribute(node, "training_mode", 0) else None


def _dropout(node: ir.Node) -> str | None:
    ratio, training = [*node.inputs, None, None][1:3]
    off = training is None or scalar(training) == 0 or scalar(ratio) == 0
    return None if off else "in training mode"


def _layer_normalization(node: ir.Node) -> str | None:
    return "with the outputs mean and deviation" if any(map(_used, node.outputs[1:])) else None


def _resize(node: ir.Node) -> str | None:
    scales = node.inputs[2] if len(node.inputs) > 2 else None
    return None if scales is None or constant(scales) is not None else "by computed scales"


def _roi_align(node: ir.Node) -> str | None:
    return "with mode max" if attribute(node, "mode", "avg") == "max" else None


def _space_to_depth(node: ir.Node) -> str | None:
    return "with mode CRD" if attribute(node, "mode", "DCR") == "CRD" else None


def _top_k(node: ir.Node) -> str | None:
    kind = None if node.inputs[0] is None else node.inputs[0].dtype
    return "on uint64" if kind == ir.DataType.UINT64 else None


def _used(value: ir.Value) -> bool:
    return value.is_graph_output() or bool(value.uses())


USES: dict[str, Callable[[ir.Node], str | None]] = {
    "BatchNormalization": _batch_normalization,
    "Dropout": _dropout,
    "LayerNormalization": _layer_normalization,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "SpaceToDepth": _space_to_depth,
    "TopK": _top_k,
}
"""Uses that TVM's importer accepts and then gets wrong, or cannot generate code for."""
