"""Operators that read or write elements by index, or compute from positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from edgec.targets.tvm.kernels.top_k import top_k
from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, cast, like, tensor


def place(index: Any, size: int) -> Any:
    """Return the TE `index`, which counts from the end where it is negative, as a position within `size`.

    A position outside, which ONNX forbids, becomes the nearest one inside, so that nothing is read out of bounds.
    """
    counted = tirx.if_then_else(index < 0, index + tirx.const(size, index.ty.dtype), index)
    return tirx.max(tirx.min(counted, tirx.const(size - 1, index.ty.dtype)), tirx.const(0, index.ty.dtype))


def from_start(n: OnnxNode, index: int, size: int) -> Expr:
    """Return the input `index`, positions along an axis of `size`, with negative ones counted from the start."""
    known = n.known(index)
    if known is not None:
        return tensor(np.where(known < 0, known + size, known), n.dtype(index))
    at = n[index]
    return n.emit(relax.op.where(relax.op.less(at, like(0, at)), relax.op.add(at, like(size, at)), at))


def _gather(n: OnnxNode) -> Expr:
    axis = n.axis(0)
    return relax.op.take(n[0], from_start(n, 1, n.shape(0)[axis]), axis, mode="clip")


def _gather_elements(n: OnnxNode) -> Expr:
    axis, size = n.axis(0), n.shape(0)[n.axis(0)]

    def gathered(x: te.Tensor, indices: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            return x(*at[:axis], place(indices(*at), size), *at[axis + 1 :])

        return te.compute(indices.shape, element, name="gathered")

    return n.compute(gathered, n[0], n[1], name="gather_elements")


def _gather_nd(n: OnnxNode) -> Expr:
    batch, shape, indices = n.attribute("batch_dims", 0), n.shape(0), n.shape(1)
    looked, leading = indices[-1], len(indices) - 1

    def gathered(x: te.Tensor, where: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            found = [place(where(*at[:leading], axis), shape[batch + axis]) for axis in range(looked)]
            return x(*at[:batch], *found, *at[leading:])

        return te.compute(n.output_shape, element, name="gathered")

    return n.compute(gathered, n[0], n[1], name="gather_nd")


def _reduction(n: OnnxNode) -> str:
    reduction = str(n.attribute("reduction", "none"))
    return "update" if reduction == "none" else reduction


def _scatter_elements(n: OnnxNode) -> Expr:
    axis = n.axis(0)
    indices = from_start(n, 1, n.shape(0)[axis])
    return _scattered(n, lambda x, y: relax.op.scatter_elements(x, indices, y, axis, _reduction(n)))


def _scatter_nd(n: OnnxNode) -> Expr:
    sizes = np.array(n.shape(0)[: n.shape(1)[-1]], n.dtype(1))
    known = n.known(1)
    if known is not None:
        indices = tensor(np.where(known < 0, known + sizes, known), n.dtype(1))
    else:
        negative = relax.op.less(n[1], like(0, n[1]))
        indices = n.emit(relax.op.where(negative, relax.op.add(n[1], tensor(sizes)), n[1]))
    return _scattered(n, lambda x, y: relax.op.scatter_nd(x, indices, y, _reduction(n)))


def _scattered(n: OnnxNode, write: Any) -> Expr:
    """Return the result of `write` on data and updates; booleans are passed as bytes."""
    if n.dtype(0) != "bool":
        return write(n[0], n[2])
    whole = n.emit(write(*(n.emit(cast(each, "int8")) for each in (n[0], n[2]))))
    return relax.op.not_equal(whole, like(0, whole))


def _tensor_scatter(n: OnnxNode) -> Expr:
    """TensorScatter: `update` replaces the elements from the write index on, along one axis."""
    axis, shape = n.axis(-2), n.shape(0)
    size, length, circular = shape[axis], n.shape(1)[axis], n.attribute("mode", "linear") == "circular"
    start = n[2] if n.has(2) else tensor(np.zeros(shape[0], np.int64))

    def written(cache: te.Tensor, update: te.Tensor, first: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            offset = at[axis] - first[at[0]].astype("int32")
            offset = tirx.floormod(offset, size) if circular else offset
            inside = tirx.all(offset >= 0, offset < length)
            return tirx.if_then_else(inside, update(*at[:axis], offset, *at[axis + 1 :]), cache(*at))

        return te.compute(shape, element, name="written")

    return n.compute(written, n[0], n[1], start, name="tensor_scatter")


def _one_hot(n: OnnxNode) -> Expr:
    """OneHot: the second of `values` at the index (negative ones count from the end), elsewhere the first."""
    shape = n.output_shape
    axis = n.axis(-1, len(shape))
    depth = shape[axis]
    indices = n.emit(cast(n[0], "int64"))

    def hot(at: te.Tensor, values: te.Tensor) -> te.Tensor:
        def element(*position: Any) -> Any:
            index = at(*position[:axis], *position[axis + 1 :])
            hit = position[axis].astype("int64") == tirx.if_then_else(index < 0, index + depth, index)
            return tirx.if_then_else(hit, values[1], values[0])

        return te.compute(shape, element, name="hot")

    return n.compute(hot, indices, n[2], name="one_hot")


def _trilu(n: OnnxNode) -> Expr:
    upper, known = bool(n.attribute("upper", 1)), n.known(1)
    diagonal = tensor(0, "int64") if not n.has(1) else n[1]
    offset = None if n.has(1) and known is None else 0 if known is None else int(known.reshape(()))

    def part(x: te.Tensor, k: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            distance = at[-1] - at[-2]
            limit = k(*[0] * len(k.shape)).astype("int32") if offset is None else offset
            return tirx.if_then_else(distance >= limit if upper else distance <= limit, x(*at), tirx.const(0, x.dtype))

        return te.compute(x.shape, element, name="part")

    return n.compute(part, n[0], diagonal, name="trilu")


def _top_k(n: OnnxNode) -> list[Expr]:
    axis, k, shape = n.axis(-1), int(n.constant(1, "k").reshape(())), n.shape(0)
    order = [*(each for each in range(len(shape)) if each != axis), axis]
    back = [order.index(each) for each in range(len(shape))]
    moved = n[0] if axis == len(shape) - 1 else n.emit(relax.op.permute_dims(n[0], order))
    rows = math.prod(shape[each] for each in order[:-1])
    flat = n.emit(relax.op.reshape(moved, (rows, shape[axis])))
    kernel = top_k(rows, shape[axis], k, n.dtype(0), largest=bool(n.attribute("largest", 1)))
    found = n.call(kernel, [flat], [((rows, k), n.dtype(0)), ((rows, k), "int64")], "top_k")
    ends = [(*(shape[each] for each in order[:-1]), k)] * 2
    shaped = [n.emit(relax.op.reshape(each, end)) for each, end in zip(found, ends, strict=True)]
    return shaped if back == list(range(len(shape))) else [relax.op.permute_dims(each, back) for each in shaped]


def _eye_like(n: OnnxNode) -> Expr:
    rows, columns = n.shape(0)
    return tensor(np.eye(rows, columns, n.attribute("k", 0)), n.output_dtype)


def _range(n: OnnxNode) -> Expr:
    start, limit, step = (n.constant(index, what).reshape(()) for index, what in enumerate(("start", "limit", "delta")))
    count = max(0, math.ceil((float(limit) - float(start)) / float(step)))
    return tensor(start + np.arange(count).astype(start.dtype) * step, n.dtype(0))


def _constant_of_shape(n: OnnxNode) -> Expr:
    value = n.attribute("value")
    array = np.zeros(1, np.float32) if value is None else value.numpy()
    return tensor(np.full(n.output_shape, array.reshape(())))


def _shape(n: OnnxNode) -> Expr:
    shape = np.array(n.shape(0), np.int64)
    return tensor(shape[n.attribute("start", 0) : n.attribute("end")])


def _size(n: OnnxNode) -> Expr:
    return tensor(math.prod(n.shape(0)), "int64")


CONVERTERS: dict[str, Converter] = {
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Range": _range,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": _size,
    "TensorScatter": _tensor_scatter,
    "TopK": _top_k,
    "Trilu": _trilu,
}
