"""The stages of a Winograd convolution F(4x4, 3x3) and their loops, for floats and for bytes.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), points 0, +-1, +-2, infinity. With
Y = A^T [ (G g G^T) * (B^T d B) ] A, the products over all tiles are 36 matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.packed_layout import ceil_div
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.schedules.common.kernel import copy_rows, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.float.loops import load_vectors
from edgec.targets.tvm.schedules.float.winograd_plan import OUT, PATCH, WinogradPlan


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Arithmetic of the method: G, the type of transformed weights and inputs, the type of their sums.

    A scaled G scales the sums: `last` is the missing factor of its last row, and `factor` is the factor of the result.
    TVM drops a multiplication by one.
    """

    g: Array
    stored: str
    summed: str
    last: int = 1
    factor: int = 1


def transform_weights(weights: Array, arithmetic: Arithmetic, step: int, block: int, vectors: int) -> Array:
    """Return G g G^T of [K, C, 3, 3] as [K/(vectors*block), 36, C/step, step, vectors, block]."""
    out, cin = weights.shape[:2]
    blocks, g = ceil_div(out, block), arithmetic.g
    full = np.zeros((blocks * block, cin, PATCH, PATCH), arithmetic.stored)
    full[:out] = np.einsum("ir,kcrs,js->kcij", g, weights.astype(g.dtype), g)
    split = full.reshape(blocks // vectors, vectors, block, cin // step, step, PATCH * PATCH)
    return np.ascontiguousarray(split.transpose(0, 5, 3, 4, 1, 2))


def whole_tiles(
    source: te.Tensor,
    weights: te.Tensor,
    padding: Sequence[int],
    filling: float | tirx.PrimExpr,
    plan: WinogradPlan,
    arithmetic: Arithmetic,
) -> te.Tensor:
    """Return the stages of a convolution, the last of which covers whole tiles, [N, K/b, 4*rows, 4*columns, b].

    Args:
        source: The packed input.
        weights: As `transform_weights` returns them.
        padding: Top, left, bottom, right.
        filling: The value of the padding.
        plan: The tiling.
        arithmetic: The types and scales.
    """
    image = _transformed_input(source, padding, filling, plan, arithmetic.stored)
    product = _product(image, weights, arithmetic.summed)
    batch, blocks, *_, rows, columns, block = map(int, product.shape)

    def half(n: Any, k: Any, y: Any, x: Any, a: Any, j: Any, b: Any) -> Any:
        return _pick(a, _output_rows([product[n, k, i, j, y, x, b] for i in range(PATCH)], arithmetic))

    def whole(n: Any, k: Any, h: Any, w: Any, b: Any) -> Any:
        y, x, a = floordiv(h, OUT), floordiv(w, OUT), floormod(h, OUT)
        row = _output_rows([output_half[n, k, y, x, a, j, b] for j in range(PATCH)], arithmetic)
        return _pick(floormod(w, OUT), row) * tirx.const(arithmetic.factor, arithmetic.summed)

    output_half = te.compute((batch, blocks, rows, columns, OUT, PATCH, block), half, name="output_half")
    return te.compute((batch, blocks, OUT * rows, OUT * columns, block), whole, name="full")


def _transformed_input(
    source: te.Tensor, padding: Sequence[int], filling: float | tirx.PrimExpr, plan: WinogradPlan, stored: str
) -> te.Tensor:
    """Return B^T d B of the padded input, [N, 6, 6, C/b, rows, columns, b]."""
    batch, blocks, _, _, block = map(int, source.shape)
    rows, columns = plan.rows, plan.columns
    extents = (batch, blocks, OUT * rows + 2, OUT * columns + 2, block)
    pad = padded_stage(source, extents, (0, 0, *padding[:2], 0), filling)

    def half(n: Any, c: Any, y: Any, x: Any, i: Any, j: Any, b: Any) -> Any:
        patch = [pad[n, c, y * OUT + r, x * OUT + j, b].astype(stored) for r in range(PATCH)]
        return _pick(i, _input_rows(patch, stored))

    def whole(n: Any, i: Any, j: Any, c: Any, y: Any, x: Any, b: Any) -> Any:
        return _pick(j, _input_rows([input_half[n, c, y, x, i, s, b] for s in range(PATCH)], stored))

    input_half = te.compute((batch, blocks, rows, columns, PATCH, PATCH, block), half, name="input_half")
    return te.compute((batch, PATCH, PATCH, blocks, rows, columns, block), whole, name="image")


def _product(image: te.Tensor, weights: te.Tensor, summed: str) -> te.Tensor:
    """Return the products, summed over the input channels, [N, K/b, 6, 6, rows, columns, b]."""
    batch, *_, rows, columns, in_block = map(int, image.shape)
    groups, _, steps, step, vectors, block = map(int, weights.shape)
    rc, rb = te.reduce_axis((0, steps), "rc"), te.reduce_axis((0, step), "rb")

    def product(n: Any, k: Any, i: Any, j: Any, y: Any, x: Any, b: Any) -> Any:
        at, lane = rc, rb
        if step != in_block:
            channel = rc * step + rb
            at, lane = floordiv(channel, in_block), floormod(channel, in_block)
        weight = weights[floordiv(k, vectors), i * PATCH + j, rc, rb, floormod(k, vectors), b]
        return te.sum(image[n, i, j, at, y, x, lane].astype(summed) * weight.astype(summed), axis=[rc, rb])

    return te.compute((batch, groups * vectors, PATCH, PATCH, rows, columns, block), product, name="product")


def _pick(index: Any, values: Sequence[Any]) -> Any:
    """Return values[index]; the loop over `index` is unrolled, so that only one value remains."""
    chosen = values[-1]
    for at in reversed(range(len(values) - 1)):
        chosen = tirx.Select(index == at, values[at], chosen)
    return chosen


def _input_rows(d: Sequence[Any], stored: str) -> list[Any]:
    """Return B^T d, written so that equal subexpressions are equal trees."""
    two, four, five = (tirx.const(value, stored) for value in (2, 4, 5))
    even4, odd4 = d[4] - four * d[2], d[3] - four * d[1]
    even1, odd1 = d[4] - d[2], two * (d[3] - d[1])
    return [
        four * d[0] - five * d[2] + d[4],
        even4 + odd4,
        even4 - odd4,
        even1 + odd1,
        even1 - odd1,
        four * d[1] - five * d[3] + d[5],
    ]


def _output_rows(m: Sequence[Any], arithmetic: Arithmetic) -> list[Any]:
    """Return A^T m."""
    two, four, eight, last = (tirx.const(value, arithmetic.summed) for value in (2, 4, 8, arithmetic.last))
    sum1, difference1, sum2, difference2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [
        m[0] + sum1 + sum2,
        difference1 + two * difference2,
        sum1 + four * sum2,
        difference1 + eight * difference2 + last * m[5],
    ]


def schedule(sch: Schedule, plan: WinogradPlan, *, by_lane: bool) -> Schedule:
    """Schedule tasks of rows of tiles: transform the input of all channels, then multiply and transform back by group.

    `full` covers whole tiles, so every extent below it is constant; only the store of `out` has a condition.
    """
    names = ("padded", "input_half", "image", "product", "output_half", "full", "out")
    pad, input_half, image, product, output_half, full, out = (sch.get_sblock(name) for name in names)
    n, k, h, w, b = sch.get_loops(full)
    ko, ki = sch.split(k, [None, plan.vectors])
    down, ho, hi = sch.split(h, [None, plan.task_rows, OUT])
    along, wo, wi = sch.split(w, [None, plan.task_columns, OUT])
    sch.reorder(n, down, along, ko, ki, ho, wo, hi, wi, b)
    if plan.by_channels:
        task = ko = sch.fuse(n, down, along, ko)
    else:
        task = sch.fuse(n, down, along)
    sch.parallel(task)
    sch.compute_at(output_half, wo, preserve_unit_loops=True)
    sch.compute_at(product, ko, preserve_unit_loops=True)
    if not plan.by_channels:
        sch.compute_at(image, task, preserve_unit_loops=True)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    for block in (full, output_half, out):
        _unroll_tile(sch, block)

    n, k, i, j, y, x, b, rc, rb = sch.get_loops(product)[-9:]
    ym, yi = sch.split(y, [None, plan.high])
    xo, xi = sch.split(x, [None, plan.wide])
    sch.reorder(n, i, j, ym, xo, rc, rb, yi, xi, k, b)
    sch.vectorize(b)
    for loop in (yi, xi, k):
        sch.unroll(loop)
    if by_lane:
        load_vectors(sch, product, rc, rb)

    n, i, j, c, y, x, b = sch.get_loops(image)[-7:]
    sch.reorder(n, c, y, x, i, j, b)
    if plan.by_channels:
        c = sch.fuse(n, c)
        sch.parallel(c)
    sch.compute_at(input_half, x, preserve_unit_loops=True)
    sch.compute_at(pad, c, preserve_unit_loops=True)
    for block in (image, input_half):
        _unroll_tile(sch, block)
    copy_rows(sch, pad)
    sch.decompose_reduction(product, rc)
    return sch


def _unroll_tile(sch: Schedule, block: Any) -> None:
    """Unroll the two loops over a tile, vectorize the lanes."""
    *_, rows, columns, lane = sch.get_loops(block)
    sch.vectorize(lane)
    sch.unroll(rows)
    sch.unroll(columns)
