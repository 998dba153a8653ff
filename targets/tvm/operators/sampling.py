"""Interpolation between pixels: sampling grids, regions of interest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from tvm import relax, te, tirx

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused

CUBIC = -0.75
"""Coefficient of the cubic kernel of GridSample (ONNX operator reference)."""
Read = Callable[..., Any]
"""Returns the element at integer positions, one per spatial axis, inside the picture."""


def bilinear(read: Read, sizes: tuple[int, ...], at: Sequence[Any]) -> Any:
    """Return the value at the float position `at`, linear between pixels; outside are zeros."""
    return _linear(lambda *pixel: _zero_outside(read, sizes, pixel), at)


def _linear(pixel: Read, at: Sequence[Any]) -> Any:
    """Return the value at `at`, interpolated from the 2**axes nearest pixels, which `pixel` returns."""
    low = [tirx.floor(each) for each in at]
    total = None
    for corner in itertools.product((0, 1), repeat=len(at)):
        weight = None
        for side, each, floor in zip(corner, at, low, strict=True):
            part = each - floor if side else tirx.const(1, each.ty.dtype) - (each - floor)
            weight = part if weight is None else weight * part
        term = weight * pixel(*(floor.astype("int32") + side for floor, side in zip(low, corner, strict=True)))
        total = term if total is None else total + term
    return total


def _cubic(pixel: Read, at: Sequence[Any]) -> Any:
    """Return the value at `at` from the 4**axes nearest pixels, by cubic convolution."""
    low = [tirx.floor(each) for each in at]
    weights = [_cubic_weights(each - floor) for each, floor in zip(at, low, strict=True)]
    total = None
    for corner in itertools.product(range(4), repeat=len(at)):
        term = pixel(*(floor.astype("int32") + (tap - 1) for floor, tap in zip(low, corner, strict=True)))
        for tap, each in zip(corner, weights, strict=True):
            term = term * each[tap]
        total = term if total is None else total + term
    return total


def _cubic_weights(t: Any) -> list[Any]:
    """Return the weights of the pixels at -1, 0, 1 and 2 for the position `t` in [0, 1) (Keys, 1981)."""

    def near(x: Any) -> Any:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _zero_outside(read: Read, sizes: tuple[int, ...], pixel: Sequence[Any]) -> Any:
    inside = tirx.all(*(tirx.all(at >= 0, at < size) for at, size in zip(pixel, sizes, strict=True)))
    value = read(*(_limited(at, size) for at, size in zip(pixel, sizes, strict=True)))
    return tirx.if_then_else(inside, value, tirx.const(0, value.ty.dtype))


def _limited(at: Any, size: int) -> Any:
    return tirx.max(tirx.min(at, size - 1), 0)


def _reflected(at: Any, low: float, high: float) -> Any:
    """Return the float position `at`, reflected at `low` and `high` until it lies between them."""
    span = high - low
    if span <= 0:
        return tirx.const(low, at.ty.dtype)
    beyond = tirx.max(tirx.const(low, at.ty.dtype) - at, at - tirx.const(high, at.ty.dtype))
    turns = tirx.floor(beyond / tirx.const(span, at.ty.dtype))
    rest = beyond - turns * tirx.const(span, at.ty.dtype)
    even = tirx.floormod(turns.astype("int32"), 2) == 0
    below = at < tirx.const(low, at.ty.dtype)
    from_low = tirx.Select(below, even, tirx.Not(even))
    moved = tirx.Select(from_low, tirx.const(low, at.ty.dtype) + rest, tirx.const(high, at.ty.dtype) - rest)
    return tirx.Select(beyond > 0, moved, at)


def _grid_sample(n: OnnxNode) -> Expr:
    """GridSample: positions run from -1 to 1 over the picture; the grid names the last axis first."""
    mode, padding = n.attribute("mode", "linear").removeprefix("bi"), n.attribute("padding_mode", "zeros")
    corners, sizes = bool(n.attribute("align_corners", 0)), n.shape(0)[2:]
    limits = [(0.0, size - 1.0) if corners else (-0.5, size - 0.5) for size in sizes]

    def sampled(x: te.Tensor, grid: te.Tensor) -> te.Tensor:
        def element(b: Any, c: Any, *at: Any) -> Any:
            def read(*pixel: Any) -> Any:
                return x(b, c, *pixel)

            def pixel(*wanted: Any) -> Any:
                if padding == "zeros":
                    return _zero_outside(read, sizes, wanted)
                if padding == "reflection":
                    wanted = tuple(
                        _reflected(each.astype("float32"), *limit).astype("int32")
                        for each, limit in zip(wanted, limits, strict=True)
                    )
                return read(*(_limited(each, size) for each, size in zip(wanted, sizes, strict=True)))

            places = []
            for axis, (size, limit) in enumerate(zip(sizes, limits, strict=True)):
                g = grid(b, *at, len(sizes) - 1 - axis)
                one = tirx.const(1, g.ty.dtype)
                where = (g + one) / 2 * (size - 1) if corners else ((g + one) * size - one) / 2
                if mode == "nearest":
                    where = tirx.nearbyint(where)
                if padding == "border":
                    where = tirx.max(tirx.min(where, tirx.const(size - 1, g.ty.dtype)), tirx.const(0, g.ty.dtype))
                elif padding == "reflection":
                    where = _reflected(where, *limit)
                places.append(where)
            if mode == "nearest":
                return pixel(*(where.astype("int32") for where in places))
            return (_cubic if mode == "cubic" else _linear)(pixel, places)

        return te.compute(n.output_shape, element, name="sampled")

    return n.compute(sampled, n[0], n[1], name="grid_sample")


def _roi_align(n: OnnxNode) -> Expr:
    """RoiAlign: the mean, or the largest, of samples in each bin of a region.

    In mode max the result is, as in ONNX Runtime, the largest weighted corner of all samples.
    """
    scale, ratio = n.attribute("spatial_scale", 1.0), n.attribute("sampling_ratio", 0)
    half = n.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    largest, (regions, channels, *bins) = n.attribute("mode", "avg") == "max", n.output_shape
    sizes = n.shape(0)[2:]

    def aligned(x: te.Tensor, rois: te.Tensor, batch: te.Tensor) -> te.Tensor:
        def number(value: float) -> Any:
            return tirx.const(value, rois.dtype)

        def element(r: Any, c: Any, *at: Any) -> Any:
            starts, steps, counts = [], [], []
            for axis in range(2):
                first, last = (rois[r, 1 - axis + 2 * end] * number(scale) - number(0.5 * half) for end in (0, 1))
                extent = last - first if half else tirx.max(last - first, number(1.0))
                steps.append(extent / number(bins[axis]))
                counts.append(tirx.const(ratio, "int32") if ratio > 0 else tirx.ceil(steps[axis]).astype("int32"))
                starts.append(first + at[axis].astype(rois.dtype) * steps[axis])
            samples = [te.reduce_axis((0, tirx.max(count, 0)), name=f"sample{a}") for a, count in enumerate(counts)]
            where = [
                starts[axis]
                + (samples[axis].var.astype(rois.dtype) + number(0.5)) * steps[axis] / counts[axis].astype(rois.dtype)
                for axis in range(2)
            ]
            corners = _corners(lambda *pixel: x(batch[r].astype("int32"), c, *pixel), sizes, where)
            if largest:
                return te.max(reduce(tirx.max, corners), axis=samples)
            count = tirx.max(counts[0] * counts[1], 1).astype(x.dtype)
            return te.sum((corners[0] + corners[1] + corners[2] + corners[3]) / count, axis=samples)

        return te.compute((regions, channels, *bins), element, name="aligned")

    return n.compute(aligned, *n.inputs, name="roi_align")


def _corners(read: Read, sizes: tuple[int, ...], at: Sequence[Any]) -> list[Any]:
    """Return the weighted pixels around `at`, which is moved to the border from up to one pixel outside; else zero."""
    kind = at[0].ty.dtype
    beyond = tirx.any(
        *(
            tirx.any(each < tirx.const(-1, kind), each > tirx.const(size, kind))
            for each, size in zip(at, sizes, strict=True)
        )
    )
    sides = []
    for each, size in zip(at, sizes, strict=True):
        inside = tirx.max(tirx.min(each, tirx.const(size - 1, kind)), tirx.const(0, kind))
        low = inside.astype("int32")
        share = inside - low.astype(kind)
        sides.append(((low, tirx.const(1, kind) - share), (tirx.min(low + 1, size - 1), share)))
    values = []
    for (row, above), (column, left) in itertools.product(*sides):
        value = read(row, column) * (above * left)
        values.append(tirx.if_then_else(beyond, tirx.const(0, value.ty.dtype), value))
    return values


def _max_roi_pool(n: OnnxNode) -> Expr:
    size, scale = tuple(n.attribute("pooled_shape")), n.attribute("spatial_scale", 1.0)
    if n.rank(0) != 4:
        raise Refused(f"on {n.rank(0)} axes")
    return relax.op.vision.roi_pool(n[0], n[1], pooled_size=size, spatial_scale=scale, layout="NCHW")


def _affine_grid(n: OnnxNode) -> Expr:
    """AffineGrid: `theta` times the homogeneous coordinates of each pixel, from -1 to 1."""
    sizes = tuple(int(size) for size in n.constant(1, "size"))[2:]
    corners, axes = bool(n.attribute("align_corners", 0)), len(sizes)

    def grid(theta: te.Tensor) -> te.Tensor:
        def number(value: float) -> Any:
            return tirx.const(value, theta.dtype)

        def element(b: Any, *at: Any) -> Any:
            total = theta[b, at[-1], axes]
            for axis in range(axes):
                spatial = axes - 1 - axis
                size, position = sizes[spatial], at[spatial].astype(theta.dtype)
                if corners:
                    where = number(-1) + position * number(2 / max(size - 1, 1))
                else:
                    where = number(1 / size - 1) + position * number(2 / size)
                total = total + theta[b, at[-1], axis] * where
            return total

        return te.compute((n.shape(0)[0], *sizes, axes), element, name="grid")

    return n.compute(grid, n[0], name="affine_grid")


CONVERTERS: dict[str, Converter] = {
    "AffineGrid": _affine_grid,
    "GridSample": _grid_sample,
    "MaxRoiPool": _max_roi_pool,
    "RoiAlign": _roi_align,
}
