"""`refusal`: why the TVM back end does not support a node; needs no attempt to import it."""

from __future__ import annotations

import onnx_ir as ir

from edgec.targets.tvm.operators.converters import CONVERTERS

STANDARD_DOMAINS = ("", "ai.onnx")
CONTROL_FLOW = frozenset({"If", "Loop"})
"""Operators that the importer itself takes."""
DYNAMIC = frozenset({"NonZero", "Unique", "Compress", "Scan", "NonMaxSuppression"})
"""Operators whose output size or work depends on the data, which the executor's static memory plan rules out."""
TYPES = frozenset(
    {
        *(ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.BOOL),
        *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
        *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)


def refusal(node: ir.Node) -> tuple[str, str] | None:
    """Return a phrase that names the operator of `node` and what is unsupported, and the reason; None if it can run."""
    operator = name_of(node)
    if node.domain in STANDARD_DOMAINS and node.op_type in DYNAMIC:
        return operator, "its output size depends on the data"
    if operator not in {*CONVERTERS, *CONTROL_FLOW}:
        return operator, "the TVM back end does not support the operator"
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.dtype is not None and value.dtype not in TYPES:
            return f"{operator} on {value.dtype.name.lower()}", "the TVM back end does not support this element type"
    return None


def name_of(node: ir.Node) -> str:
    """Return the operator of `node`, with the domain unless it is ONNX's own."""
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}::{node.op_type}"
