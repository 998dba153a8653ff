"""Single operators rewritten for TVM's importer, which refuses them, or ignores a part of what ONNX says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, attribute, constant, replace_uses

EXTREMA_IN = {
    ir.DataType.BOOL: ir.DataType.UINT8,
    ir.DataType.FLOAT16: ir.DataType.FLOAT,
    ir.DataType.BFLOAT16: ir.DataType.FLOAT,
}


def legalize_operator(node: ir.Node) -> None:
    """Replace `node` in its graph by operators with the same result, if it needs that."""
    rewrite = REWRITES.get(node.op_type)
    if rewrite is None:
        return
    result = rewrite(node, _Before(node))
    if result is not None:
        replace_uses(node.outputs[0], result)
        node.graph.remove(node, safe=True)  # type: ignore[union-attr]


class _Before:
    """Inserts nodes before `node`; their results have the shape of its output."""

    def __init__(self, node: ir.Node) -> None:
        assert node.graph is not None
        self.node, self.graph = node, node.graph

    def constant(self, array: Any, like: ir.Value) -> ir.Value:
        """Return the constant `array` in the element type of `like`."""
        assert like.dtype is not None
        return add_constant(self.graph, f"{self.node.name}_constant", np.asarray(array, like.dtype.numpy()))

    def __call__(
        self, op_type: str, inputs: Sequence[ir.Value], dtype: ir.DataType, attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        made = ir.node(op_type, inputs, dict(attributes or {}), name=f"{self.node.name}_{op_type}")
        made.outputs[0].shape, made.outputs[0].type = self.node.outputs[0].shape, ir.TensorType(dtype)
        self.graph.insert_before(self.node, made)
        return made.outputs[0]


def _operands(node: ir.Node) -> tuple[ir.Value, ir.DataType, list[ir.Value]]:
    """Return the first input, its element type, and all inputs that are there."""
    present = [value for value in node.inputs if value is not None]
    assert present[0].dtype is not None
    return present[0], present[0].dtype, present


def _power(node: ir.Node, make: _Before) -> ir.Value | None:
    """Give base and exponent one type, and integers a float one: ONNX lets types differ, TVM does not.

    Powers of integers are exact while they are below 2**53, as doubles are.
    """
    base, kind, (_, exponent) = _operands(node)
    if not kind.is_floating_point():
        wide = [make("Cast", [value], ir.DataType.DOUBLE, {"to": ir.DataType.DOUBLE}) for value in (base, exponent)]
        for cast, value in zip(wide, (base, exponent), strict=True):
            cast.shape = value.shape
        return make("Cast", [make("Pow", wide, ir.DataType.DOUBLE)], kind, {"to": kind})
    if exponent.dtype == kind:
        return None
    cast = make("Cast", [exponent], kind, {"to": kind})
    cast.shape = exponent.shape
    return make("Pow", [base, cast], kind)


def _expand(node: ir.Node, make: _Before) -> ir.Value | None:
    """Name the final shape: the importer takes a 1 for the size, where ONNX keeps the input's."""
    data, kind, (_, shape) = _operands(node)
    final, given = node.outputs[0].shape, constant(shape)
    if final is None or not final.is_static():
        return None
    sizes = np.array(final.numpy(), np.int64)
    if given is not None and np.array_equal(given, sizes):
        return None
    return make("Expand", [data, add_constant(make.graph, f"{node.name}_shape", sizes)], kind)


def _is_infinite(node: ir.Node, make: _Before) -> ir.Value | None:
    """IsInf of one sign: the importer ignores the attributes."""
    x, _, _ = _operands(node)
    positive, negative = attribute(node, "detect_positive", 1), attribute(node, "detect_negative", 1)
    if positive and negative:
        return None
    limit = make.constant(np.inf if positive else -np.inf if negative else np.nan, x)
    return make("Equal", [x, limit], ir.DataType.BOOL)


def _shift(node: ir.Node, make: _Before) -> ir.Value | None:
    """Shift by no less than the width, or by a negative number: all bits leave; the instructions differ in that."""
    x, kind, (_, by) = _operands(node)
    width, known = kind.bitwidth, constant(by)
    if known is not None and np.all((known >= 0) & (known < width)):
        return None
    direction = {"direction": attribute(node, "direction")}
    beyond = make("GreaterOrEqual", [by, make.constant(width, by)], ir.DataType.BOOL)
    if kind.is_signed():
        negative = make("Less", [by, make.constant(0, by)], ir.DataType.BOOL)
        beyond = make("Or", [beyond, negative], ir.DataType.BOOL)
    limited = make("Where", [beyond, make.constant(width - 1, by), by], kind)
    shifted = make("BitShift", [x, limited], kind, direction)
    if kind.is_signed() and direction["direction"] == "RIGHT":
        return shifted  # by width - 1, which leaves the sign
    return make("Where", [beyond, make.constant(0, x), shifted], kind)


def _modulo(node: ir.Node, make: _Before) -> ir.Value | None:
    """Mod of floats with the sign of the divisor: right for infinities too, by the remainder with that of x."""
    _, kind, (x, y) = _operands(node)
    if not kind.is_floating_point() or attribute(node, "fmod", 0):
        return None
    remainder = make("Mod", [x, y], kind, {"fmod": 1})
    below = [make("Less", [value, make.constant(0, value)], ir.DataType.BOOL) for value in (remainder, y)]
    exact = make("Equal", [remainder, make.constant(0, x)], ir.DataType.BOOL)
    shifted = make("Add", [remainder, y], kind)
    moved = make("Where", [make("Xor", below, ir.DataType.BOOL), shifted, remainder], kind)
    return make("Where", [exact, remainder, moved], kind)


def _extremum(node: ir.Node, make: _Before) -> ir.Value | None:
    """ReduceMax and ReduceMin of booleans, which have no extremes in TVM, and of half floats, whose are finite."""
    x, kind, present = _operands(node)
    if kind not in EXTREMA_IN:
        return None
    wide = make("Cast", [x], EXTREMA_IN[kind], {"to": EXTREMA_IN[kind]})
    wide.shape = x.shape
    attributes = {"keepdims": attribute(node, "keepdims", 1)}
    if "noop_with_empty_axes" in node.attributes:
        attributes["noop_with_empty_axes"] = attribute(node, "noop_with_empty_axes")
    reduced = make(node.op_type, [wide, *present[1:]], EXTREMA_IN[kind], attributes)
    return make("Cast", [reduced], kind, {"to": kind})


def _whole_root_mean_square(node: ir.Node, make: _Before) -> ir.Value | None:
    """RMSNormalization over all axes, spelled out: TVM cannot generate code for a reduction that leaves none."""
    x, kind, (_, scale) = _operands(node)
    assert x.shape is not None
    rank = len(x.shape)
    if attribute(node, "axis", -1) % rank:
        return None
    axes = add_constant(make.graph, f"{node.name}_axes", np.arange(rank))
    mean = make("ReduceMean", [make("Mul", [x, x], kind), axes], kind, {"keepdims": 1})
    shifted = make("Add", [mean, make.constant(attribute(node, "epsilon", 1e-5), x)], kind)
    root = make("Sqrt", [shifted], kind)
    mean.shape = shifted.shape = root.shape = ir.Shape([1] * rank)
    return make("Mul", [make("Div", [x, root], kind), scale], kind)


def _constant(node: ir.Node, make: _Before) -> ir.Value | None:
    """Constant in its one form that the importer reads; those that are graph outputs are still nodes."""
    if "value" in node.attributes:
        return None
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    assert tensor is not None
    return make("Constant", [], tensor.dtype, {"value": tensor})


REWRITES: dict[str, Callable[[ir.Node, _Before], ir.Value | None]] = {
    "BitShift": _shift,
    "Constant": _constant,
    "Expand": _expand,
    "IsInf": _is_infinite,
    "Mod": _modulo,
    "Pow": _power,
    "RMSNormalization": _whole_root_mean_square,
    "ReduceMax": _extremum,
    "ReduceMin": _extremum,
}
