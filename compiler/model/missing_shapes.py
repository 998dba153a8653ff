"""Shapes of results that ONNX's inference leaves open although their inputs decide them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgec.model.graph import attribute, constant, is_static

Sizes = tuple[int, ...]


def missing_shape(node: ir.Node) -> Sizes | None:
    """Return the shape of the first output of `node`; None if its inputs do not decide it, or ONNX infers it."""
    rule = RULES.get(node.op_type) if node.domain == "" else None
    first = node.inputs[0] if node.inputs else None
    if rule is None or first is None or not is_static(first) or is_static(node.outputs[0]):
        return None
    return rule(node)


def _shape(value: ir.Value | None) -> Sizes:
    assert value is not None and value.shape is not None
    return tuple(int(size) for size in value.shape.numpy())


def _same(node: ir.Node) -> Sizes:
    return _shape(node.inputs[0])


def _scalar(node: ir.Node) -> Sizes | None:
    return () if _shape(node.inputs[0]) == () else None


def _gather_nd(node: ir.Node) -> Sizes | None:
    indices = node.inputs[1]
    if indices is None or not is_static(indices) or not (places := _shape(indices)):
        return None
    return places[:-1] + _shape(node.inputs[0])[attribute(node, "batch_dims", 0) + places[-1] :]


def _max_unpool(node: ir.Node) -> Sizes | None:
    sizes = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return None if sizes is None else tuple(int(size) for size in sizes.reshape(-1))


RULES: Mapping[str, Callable[[ir.Node], Sizes | None]] = {
    "GatherND": _gather_nd,  # of a scalar
    "GroupNormalization": _same,
    "MaxUnpool": _max_unpool,  # with `output_shape`
    "Transpose": _scalar,
}
"""By operator; the comment says of which results the shape is missing, if not of all."""
