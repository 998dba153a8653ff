"""RoiAlign of the regions that are valid: the work depends on their number at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.kernels.opaque import OPAQUE


def roi_align(
    shape: Sequence[int],
    regions: int,
    bins: Sequence[int],
    *,
    ratio: int,
    scale: float,
    half_pixel: bool,
    largest: bool,
) -> Any:
    """Return the kernel: x, rois, pictures, number -> y [regions, channels, *bins]; zeros behind the valid ones.

    Samples lie on a grid in each bin, and are interpolated between four pixels. The positions of rows and columns of
    samples are the same for all channels, so they are computed once per region.

    Args:
        shape: Shape of x: [pictures, channels, height, width].
        regions: Number of rows of rois [regions, 4], which are (x, y, x, y).
        bins: Number of rows and columns of bins.
        ratio: Number of samples per bin along each axis; 0: as many as the bin has pixels.
        scale: Factor from coordinates of rois to pixels of x.
        half_pixel: Whether the centres of pixels are at half-integer coordinates.
        largest: Take the largest weighted pixel of all samples, as ONNX Runtime does in mode max, not their mean.
    """
    pictures, channels, height, width = shape
    rows, columns = bins
    region_of = _Region(scale, half_pixel=half_pixel)
    join, mean = (_largest, _whole) if largest else (_summed, _divided)
    fixed, most = ratio > 0, max(ratio, 1)

    @T.prim_func(s_tir=True, private=True)
    def kernel(x: T.handle, r: T.handle, p: T.handle, n: T.handle, y: T.handle) -> None:
        T.func_attr(OPAQUE)
        X = T.match_buffer(x, (pictures, channels, height, width), "float32")  # noqa: N806
        R = T.match_buffer(r, (regions, 4), "float32")  # noqa: N806
        P = T.match_buffer(p, (regions,), "int64")  # noqa: N806
        number = T.match_buffer(n, (1,), "int64")
        Y = T.match_buffer(y, (regions, channels, rows, columns), "float32")  # noqa: N806
        with T.sblock("root"):
            for region in T.parallel(regions):
                # For each row and column of samples: the pixels on both sides, and their weights.
                row = T.alloc_buffer((rows * most, 2), "int32", scope="local")
                column = T.alloc_buffer((columns * most, 2), "int32", scope="local")
                row_weight = T.alloc_buffer((rows * most, 2), "float32", scope="local")
                column_weight = T.alloc_buffer((columns * most, 2), "float32", scope="local")
                picture: T.int32 = 0
                total: T.float32 = 0.0
                top: T.float32 = 0.0
                left: T.float32 = 0.0
                tall: T.float32 = 0.0
                wide: T.float32 = 0.0
                down: T.int32 = 0
                across: T.int32 = 0
                if region < T.cast(number[0], "int32"):
                    picture = T.cast(P[region], "int32")
                    top = region_of.start(R, region, 1)
                    left = region_of.start(R, region, 0)
                    tall = region_of.extent(R, region, 1) / T.float32(rows)
                    wide = region_of.extent(R, region, 0) / T.float32(columns)
                    down = _samples(tall, ratio)
                    across = _samples(wide, ratio)
                    if fixed:
                        for i, v in T.grid(rows, ratio):
                            place(
                                row,
                                row_weight,
                                i * ratio + v,
                                top + _f(i) * tall + (_f(v) + 0.5) * tall / _f(down),
                                height,
                            )
                        for j, w in T.grid(columns, ratio):
                            place(
                                column,
                                column_weight,
                                j * ratio + w,
                                left + _f(j) * wide + (_f(w) + 0.5) * wide / _f(across),
                                width,
                            )
                    for c, i, j in T.grid(channels, rows, columns):
                        total = _first(largest)
                        for v in T.serial(down):
                            if not fixed:
                                place(row, row_weight, 0, top + _f(i) * tall + (_f(v) + 0.5) * tall / _f(down), height)
                            for w in T.serial(across):
                                if not fixed:
                                    place(
                                        column,
                                        column_weight,
                                        0,
                                        left + _f(j) * wide + (_f(w) + 0.5) * wide / _f(across),
                                        width,
                                    )
                                total = join(
                                    total,
                                    X,
                                    picture,
                                    c,
                                    row,
                                    row_weight,
                                    (i * ratio + v) * fixed,
                                    column,
                                    column_weight,
                                    (j * ratio + w) * fixed,
                                )
                        Y[region, c, i, j] = mean(total, down * across)
                else:
                    for c, i, j in T.grid(channels, rows, columns):
                        Y[region, c, i, j] = T.float32(0.0)

    return kernel


@T.inline
def place(pixel, weight, k, at, size):  # type: ignore[no-untyped-def]
    """Store the pixels around the sample at `at` and their weights, which are 0 outside of the picture."""
    pixel[k, 0] = T.max(T.min(T.cast(T.max(at, 0.0), "int32"), size - 1), 0)
    pixel[k, 1] = T.min(pixel[k, 0] + 1, size - 1)
    weight[k, 1] = T.max(T.min(at, T.float32(size - 1)), 0.0) - T.cast(pixel[k, 0], "float32")
    weight[k, 0] = 1.0 - weight[k, 1]
    if at < -1.0 or at > T.float32(size):
        weight[k, 0] = 0.0
        weight[k, 1] = 0.0


def _f(number: Any) -> Any:
    return number.astype("float32")


class _Region:
    """Reads regions in pixels: `axis` 0 is x, 1 is y."""

    def __init__(self, scale: float, *, half_pixel: bool) -> None:
        self._scale, self._half = tirx.const(scale, "float32"), half_pixel

    def _edge(self, rois: Any, region: Any, at: int) -> Any:
        edge = rois[region, at] * self._scale
        return edge - tirx.const(0.5, "float32") if self._half else edge

    def start(self, rois: Any, region: Any, axis: int) -> Any:
        """Return the coordinate at which the region begins."""
        return self._edge(rois, region, axis)

    def extent(self, rois: Any, region: Any, axis: int) -> Any:
        """Return the length of the region."""
        length = self._edge(rois, region, axis + 2) - self._edge(rois, region, axis)
        return length if self._half else tirx.max(length, tirx.const(1, "float32"))


def _samples(extent: Any, ratio: int) -> Any:
    return tirx.const(ratio, "int32") if ratio > 0 else tirx.ceil(extent).astype("int32")


def _corners(
    x: Any, picture: Any, c: Any, row: Any, row_weight: Any, v: Any, column: Any, column_weight: Any, w: Any
) -> list[Any]:
    return [
        row_weight[v, a] * column_weight[w, b] * x[picture, c, row[v, a], column[w, b]] for a in (0, 1) for b in (0, 1)
    ]


def _summed(total: Any, *where: Any) -> Any:
    first, second, third, fourth = _corners(*where)
    return total + (first + second + third + fourth)


def _largest(total: Any, *where: Any) -> Any:
    first, second, third, fourth = _corners(*where)
    return tirx.max(total, tirx.max(tirx.max(first, second), tirx.max(third, fourth)))


def _first(largest: bool) -> Any:
    return tirx.min_value("float32") if largest else tirx.const(0, "float32")


def _divided(total: Any, count: Any) -> Any:
    return total / tirx.max(count, tirx.const(1, "int32")).astype("float32")


def _whole(total: Any, _count: Any) -> Any:
    return total
