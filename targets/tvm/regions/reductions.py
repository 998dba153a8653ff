"""Reductions in the forms that schedules take: reduced axes are kept, with extent 1, and trailing ones are one axis."""

from __future__ import annotations

import math

from tvm import relax

from edgec.targets.tvm.regions.graph import Graph, Node

OPERATORS = {
    "relax.sum": relax.op.sum,
    "relax.mean": relax.op.mean,
    "relax.max": relax.op.max,
    "relax.min": relax.op.min,
}
VIEW = "relax.reshape"
PICTURE = 4
"""Axes of a picture: N, C, H, W."""


def align_reductions(graph: Graph) -> None:
    """Rewrite reductions of floats in place; views of the same bytes stand around them."""
    for node in list(graph.nodes):
        source = node.args[0] if node.op in OPERATORS else None
        if not isinstance(source, Node) or not source.shape or node.dtype != "float32" or 0 in source.shape:
            continue
        rank = len(source.shape)
        given = list(range(rank)) if node.attrs.axis is None else sorted(axis % rank for axis in node.ints("axis"))
        shape, axes = _aligned(node.op, source.shape, given)
        if shape == source.shape and axes == given and node.attrs.keepdims:
            continue
        if shape != source.shape:
            source = Node(VIEW, [source], shape, "float32", order=node.order - 0.0002)
            graph.nodes.append(source)
        graph.nodes.append(_reduction(node, source, axes))
        node.op, node.args, node.call, node.name = VIEW, [graph.nodes[-1]], None, ""


def _aligned(op: str, shape: tuple[int, ...], given: list[int]) -> tuple[tuple[int, ...], list[int]]:
    """Return the shape in which the source of a reduction over axes `given` is read, and the axes of that to reduce."""
    axes = [axis for axis in given if shape[axis] > 1] or given
    # Means over pixels are taken where they lie, in blocks of channels.
    over_pixels = op == "relax.mean" and axes == [2, 3] and len(shape) == PICTURE
    if len(axes) > 1 and axes == list(range(axes[0], len(shape))) and not over_pixels:
        return (*shape[: axes[0]], math.prod(shape[axes[0] :])), [axes[0]]
    return shape, axes


def _reduction(node: Node, source: Node, axes: list[int]) -> Node:
    """Return the reduction of `source` over `axes`, which are kept, that gives the values of `node`."""
    assert source.shape is not None
    kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(source.shape))
    call = OPERATORS[node.op](relax.Var("x", relax.TensorType(list(source.shape), "float32")), axes, keepdims=True)
    result = Node(node.op, [source], kept, node.dtype, order=node.order - 0.0001, call=call, name=node.name)
    result.original = node.original or node.shape
    return result
