"""Expands integer operators with scales as operands (QOperator form) into the float operator between Q/DQ pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, insert_before, substitute
from edgec.model.graph import add_constant, constant


def expand_qlinear_conv(node: ir.Node) -> bool:
    """QLinearConv  ->  QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w), DequantizeLinear(bias)))."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *rest = node.inputs
    bias = rest[0] if rest else None
    inputs = [
        _dequantized(node, [x, x_scale, x_zero], 1, "x"),
        _dequantized(node, [w, w_scale, w_zero], 0, "w"),
    ]
    if bias is not None:
        inputs.append(_dequantized(node, [bias, _product(node, x_scale, w_scale)], 0, "bias"))
    attributes = dict(node.attributes)
    _quantize(node, "Conv", inputs, attributes, [y_scale, y_zero])
    return True


def expand_qlinear_matmul(node: ir.Node) -> bool:
    """QLinearMatMul  ->  QuantizeLinear(MatMul(DequantizeLinear(a), DequantizeLinear(b)))."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs
    if not _is_single(y_scale):
        return False  # with one scale per row of the result, the axis would depend on its rank
    # Scales are per row of a, and per column of b.
    inputs = [
        _dequantized(node, [a, a_scale, a_zero], -2, "a"),
        _dequantized(node, [b, b_scale, b_zero], -1, "b"),
    ]
    _quantize(node, "MatMul", inputs, {}, [y_scale, y_zero])
    return True


def _dequantized(node: ir.Node, operands: Sequence[ir.Value | None], axis: int, stem: str) -> ir.Value:
    attributes = {} if _is_single(operands[1]) else {"axis": axis}
    shape = None if operands[0] is None or operands[0].shape is None else operands[0].shape.numpy()
    value = insert_before(node, "DequantizeLinear", operands, attributes, stem=f"{node.name}_{stem}", shape=shape)
    value.type = None if operands[1] is None else operands[1].type
    return value


def _quantize(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value],
    attributes: dict[str, ir.Attr],
    parameters: Sequence[ir.Value | None],
) -> None:
    """Replace `node` by `op_type` and a QuantizeLinear."""
    shape = None if node.outputs[0].shape is None else node.outputs[0].shape.numpy()
    result = insert_before(node, op_type, inputs, attributes, stem=f"{node.name}_{op_type}", shape=shape)
    substitute(node, "QuantizeLinear", [result, *parameters])


def _product(node: ir.Node, first: ir.Value | None, second: ir.Value | None) -> ir.Value:
    """Return the product of two scales, as a constant if both are constant."""
    known = constant(first), constant(second)
    if known[0] is not None and known[1] is not None:
        product = (known[0].reshape(()) * known[1]).astype(np.float32)
        return add_constant(graph_of(node), f"{node.name}_scale", product)
    return insert_before(node, "Mul", [first, second], stem=f"{node.name}_scale")


def _is_single(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and all(size == 1 for size in value.shape)
