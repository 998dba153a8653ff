"""Brings QuantizeLinear and DequantizeLinear into the one form that the parser reads correctly: int8, zero point 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder, rewrite
from edgec.model.graph import attribute, constant, dtype_of, shape_of
from edgec.targets.tensorrt.limits import Limits

MIDDLE = 128
"""A uint8 with this zero point has the values of an int8 with zero point 0, shifted by 128."""


def bias(node: ir.Node, limits: Limits) -> str | None:
    """Fold DequantizeLinear of an int32 constant, because the parser supports INT8 only."""
    values, scale = constant(node.inputs[0]), constant(node.inputs[1])
    if values is None or scale is None or values.dtype != np.int32:
        return None
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros_like(scale)
    if zero is None:
        return None
    make = Builder(node)
    column = _column(node, values.ndim)
    folded = (values - zero.reshape(column).astype(np.int32)).astype(scale.dtype) * scale.reshape(column)
    make.finish(make.constant(folded))
    return "int32 constant dequantized at once"


def middle_to_zero(node: ir.Node, limits: Limits) -> str | None:
    """Rewrite QuantizeLinear with uint8 and zero point 128, and all nodes that dequantize its output, with int8 and 0.

    q + 128 saturates to 0..255 exactly where q saturates to -128..127, so the dequantized values are the same.
    """
    readers = [use.node for use in node.outputs[0].uses()]
    if node.outputs[0].is_graph_output() or not all(
        reader.op_type == "DequantizeLinear" and reader.inputs[0] is node.outputs[0] for reader in readers
    ):
        return None
    if not all(_is_middle(member) for member in (node, *readers)):
        return None
    for member in (node, *readers):
        _with_zero(member)
    node.outputs[0].type = ir.TensorType(ir.DataType.INT8)  # a new type, because clones of the model share the old one
    return "uint8 with zero point 128 written as int8 with 0"


def stored_middle_to_zero(node: ir.Node, limits: Limits) -> str | None:
    """Rewrite DequantizeLinear of uint8 weights with zero point 128 as one of int8 weights with 0."""
    stored = constant(node.inputs[0])
    if stored is None or stored.dtype != np.uint8 or not _is_middle(node):
        return None
    weights = Builder(node).constant((stored.astype(np.int16) - MIDDLE).astype(np.int8))
    _with_zero(node)
    node.replace_input_with(0, weights)
    return "uint8 weights with zero point 128 written as int8 with 0"


def zero_point(node: ir.Node, limits: Limits) -> str | None:
    """Write the int8 zero point explicitly, as parsers before 10 need; QuantizeLinear to uint8 is not rewritten."""
    scale = constant(node.inputs[1])
    if limits.has_int64 or scale is None or (len(node.inputs) > 2 and node.inputs[2] is not None):
        return None
    quantized = node.inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0]
    if dtype_of(quantized) != np.int8:
        return None
    zeros = Builder(node).constant(np.zeros(scale.shape, np.int8))
    rewrite(node, [*node.inputs[:2], zeros], {"output_dtype": None})
    return f"zero point of {node.op_type} written out"


def axis(node: ir.Node, limits: Limits) -> str | None:
    """Write the axis explicitly: the default of ONNX is 1, that of the parser 0."""
    scale = constant(node.inputs[1])
    if scale is None or scale.size < 2 or "axis" in node.attributes:
        return None
    rewrite(node, node.inputs, {"axis": 1})
    return f"axis of {node.op_type} written out"


def stored_weights(node: ir.Node, limits: Limits) -> str | None:
    """Rewrite int8 weights before DequantizeLinear as FP32 weights, QuantizeLinear, DequantizeLinear.

    Parsers before 10 need the QuantizeLinear. It restores the stored integers: q * scale / scale rounds to q.
    """
    stored, scale, shape = constant(node.inputs[0]), constant(node.inputs[1]), shape_of(node.inputs[0])
    if limits.has_int64 or stored is None or scale is None or shape is None or stored.dtype != np.int8:
        return None
    make = Builder(node)
    weights = make.constant(stored.astype(scale.dtype) * scale.reshape(_column(node, len(shape))))
    given = attribute(node, "axis")
    again = make.op("QuantizeLinear", [weights, *node.inputs[1:]], {} if given is None else {"axis": given})
    again.dtype, again.shape = ir.DataType.INT8, ir.Shape(shape)
    node.replace_input_with(0, again)
    return "int8 weights written as FP32 weights that are quantized"


def _is_middle(node: ir.Node) -> bool:
    zero: Any = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return zero is not None and zero.dtype == np.uint8 and bool((zero == MIDDLE).all())


def _with_zero(node: ir.Node) -> None:
    shape = shape_of(node.inputs[2]) or ()
    rewrite(node, [*node.inputs[:2], Builder(node).constant(np.zeros(shape, np.int8))], {"output_dtype": None})


def _column(node: ir.Node, rank: int) -> tuple[int, ...]:
    """Return the shape in which a scale broadcasts over data of `rank` axes."""
    scale = constant(node.inputs[1])
    if scale is None or scale.size < 2:
        return (1,) * rank
    place = attribute(node, "axis", 1) % rank
    return tuple(scale.size if index == place else 1 for index in range(rank))
