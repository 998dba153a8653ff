"""Pooling with a sliding window, and over all pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from edgec.model.graph import Array
from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, like, tensor
from edgec.targets.tvm.operators.windows import Window, cropped, window_of

MAX_POOLS = {3: relax.op.nn.max_pool1d, 4: relax.op.nn.max_pool2d, 5: relax.op.nn.max_pool3d}
AVERAGE_POOLS = {3: relax.op.nn.avg_pool1d, 4: relax.op.nn.avg_pool2d, 5: relax.op.nn.avg_pool3d}


def _fitting(n: OnnxNode) -> tuple[Expr, Window, tuple[int, ...], Window]:
    """Return the input, the window padded as far as the output needs, the input's shape, and the original window.

    With `ceil_mode` the last window may begin inside and end beyond the padding; without it, its end may be unused.
    """
    if n.rank(0) not in MAX_POOLS:
        raise Refused(f"over {n.rank(0) - 2} spatial axes")
    x, window, shape = cropped(n[0], window_of(n, n.attribute("kernel_shape")), n.shape(0))
    after = tuple(
        max(0, (count - 1) * step + reach - size - before)
        for count, step, reach, size, before in zip(
            n.output_shape[2:], window.strides, window.reach, shape[2:], window.before, strict=True
        )
    )
    fitted = Window(window.kernel, window.strides, window.dilations, window.before, after)
    return x, fitted, shape, window


def _pool(operator: Any, x: Expr, window: Window, *, counts_padding: bool = False) -> Expr:
    return operator(
        x,
        list(window.kernel),
        list(window.strides),
        window.padding,
        list(window.dilations),
        ceil_mode=False,
        count_include_pad=counts_padding,
    )


def _max_pool(n: OnnxNode) -> list[Expr]:
    x, window, shape, _ = _fitting(n)
    values = _pool(MAX_POOLS[n.rank(0)], x, window)
    return [values, _max_places(n, x, window, shape)] if n.is_used(1) else [values]


def _max_places(n: OnnxNode, x: Expr, window: Window, shape: tuple[int, ...]) -> Expr:
    """Return the index, in the flattened input, of each window's largest element (the first of equal ones)."""
    sizes, column_major = shape[2:], bool(n.attribute("storage_order", 0))
    if shape != n.shape(0):
        raise Refused("with the output Indices and negative padding")

    def places(data: te.Tensor) -> te.Tensor:
        least = tirx.min_value(data.dtype)
        taps = [te.reduce_axis((0, size), name=f"tap{axis}") for axis, size in enumerate(window.kernel)]

        def better(a: Any, b: Any) -> Any:
            keep = tirx.any(a[1] > b[1], tirx.all(a[1] == b[1], a[0] <= b[0]))
            return tirx.Select(keep, a[0], b[0]), tirx.Select(keep, a[1], b[1])

        def none(_: str, dtype: str) -> Any:
            return tirx.const(math.prod(sizes), "int64"), tirx.min_value(dtype)

        largest = te.comm_reducer(better, none, name="largest")

        def value(b: Any, c: Any, *at: Any) -> Any:
            where = [
                position * window.strides[axis] - window.before[axis] + taps[axis] * window.dilations[axis]
                for axis, position in enumerate(at)
            ]
            inside = tirx.all(*(tirx.all(place >= 0, place < size) for place, size in zip(where, sizes, strict=True)))
            ordered = list(zip(where, sizes, strict=True))
            flat: Any = tirx.const(0, "int64")
            for place, size in reversed(ordered) if column_major else ordered:
                flat = flat * size + place.astype("int64")
            read = tirx.if_then_else(inside, data(b, c, *where), least)
            return largest((tirx.if_then_else(inside, flat, tirx.const(math.prod(sizes), "int64")), read), axis=taps)

        found = te.compute(n.output_shape, value, name="found")[0]
        plane = math.prod(sizes)
        return te.compute(
            n.output_shape,
            lambda b, c, *at: found(b, c, *at) + (b.astype("int64") * shape[1] + c.astype("int64")) * plane,
            name="places",
        )

    return n.compute(places, x, name="max_places")


def _average_pool(n: OnnxNode) -> Expr:
    x, window, shape, given = _fitting(n)
    counts = bool(n.attribute("count_include_pad", 0))
    operator = AVERAGE_POOLS[n.rank(0)]
    plain = all(step == 1 for step in window.dilations)
    if plain and (not counts or all(a <= b for a, b in zip(window.after, given.after, strict=True))):
        return _pool(operator, x, window, counts_padding=counts)
    # If a window ends beyond the padding or is dilated, TVM divides by another count than ONNX.
    whole = math.prod(window.kernel)
    held = _held(n.output_shape[2:], window, shape[2:], given if counts else None)
    average = _pool(operator, x, window, counts_padding=True)
    factor = np.broadcast_to(whole / np.maximum(held, 1), (1, 1, *n.output_shape[2:]))
    return average if np.all(held == whole) else relax.op.multiply(average, tensor(factor, n.dtype(0)))


def _held(outputs: tuple[int, ...], window: Window, sizes: tuple[int, ...], padded: Window | None) -> Array:
    """Return the number of elements of the input, and of its padding if `padded` is given, in each window."""
    held = np.ones((), np.int64)
    for axis, (count, size) in enumerate(zip(outputs, sizes, strict=True)):
        first = np.arange(count)[:, None] * window.strides[axis] - window.before[axis]
        at = first + np.arange(window.kernel[axis]) * window.dilations[axis]
        low, high = (-padded.before[axis], size + padded.after[axis]) if padded else (0, size)
        held = held[..., None] * ((at >= low) & (at < high)).sum(axis=1)
    return held


def _lp_pool(n: OnnxNode) -> Expr:
    x, window, _, _ = _fitting(n)
    order = n.attribute("p", 2)
    powers = _power(n, relax.op.abs(x), order)
    total = _pool(AVERAGE_POOLS[n.rank(0)], n.emit(powers), window, counts_padding=True)
    return _power(n, relax.op.multiply(total, like(math.prod(window.kernel), n[0])), 1 / order)


def _power(n: OnnxNode, x: Expr, exponent: float) -> Expr:
    return x if exponent == 1 else relax.op.power(x, like(exponent, n[0]))


def _pixels(n: OnnxNode) -> list[int]:
    return list(range(2, n.rank(0)))


def _global_lp_pool(n: OnnxNode) -> Expr:
    order = n.attribute("p", 2)
    total = relax.op.sum(_power(n, relax.op.abs(n[0]), order), _pixels(n), keepdims=True)
    return _power(n, total, 1 / order)


def _max_unpool(n: OnnxNode) -> Expr:
    """MaxUnpool: zeros except at the indices in the flattened output."""
    size = math.prod(n.output_shape)
    zeros = tensor(np.zeros(size), n.dtype(0))
    flat = (relax.op.reshape(n[index], (-1,)) for index in (1, 0))
    return relax.op.reshape(relax.op.scatter_elements(zeros, *flat), n.output_shape)


def _global(reduction: Any) -> Converter:
    def convert(n: OnnxNode) -> Expr:
        if not _pixels(n):
            return n[0]
        return reduction(n[0], _pixels(n), keepdims=True)

    return convert


CONVERTERS: dict[str, Converter] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global(relax.op.mean),
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": _global(relax.op.max),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
}
