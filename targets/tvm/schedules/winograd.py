"""Winograd convolution F(4x4, 3x3): 36 multiplications for the 144 of a 4x4 tile of a 3x3 stride-1 convolution.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), points 0, +-1, +-2, infinity. With
Y = A^T [ (G g G^T) * (B^T d B) ] A, the products over all tiles are 36 matrix products. The transforms lose about two
bits of float32: results differ from the direct sum by less than 1e-4 of the output range, which the tests check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.regions.expression import PackedExpression, packed_shape
from edgec.targets.tvm.regions.graph import Array, Graph, Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules.conv import load_vectors
from edgec.targets.tvm.schedules.conv_plan import ConvShape, conv_shape, pack_bias
from edgec.targets.tvm.schedules.kernel import Kernel, Operand, copy_rows, f32, finish, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.tiles import block_of, ceil_div, reduction_step
from edgec.targets.tvm.schedules.winograd_plan import (
    OUT,
    PATCH,
    Network,
    WinogradPlan,
    direct_cycles,
    pays,
    plan,
)
from edgec.targets.tvm.target_model import TargetModel

G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)

NETWORK = "network"
"""Fact of a convolution: what the whole network costs, see `weigh`."""


def match(node: Node, model: TargetModel) -> bool:
    """Whether `node` is a convolution that is cheaper this way on `model`."""
    return possible(node, model) and pays(conv_shape(node), model, node.facts.get(NETWORK))


def possible(node: Node, model: TargetModel) -> bool:
    """Whether `node` is a convolution that can be done this way."""
    # The transforms cost more bits than fp16 has to spare.
    if "weights" not in node.facts or not node.args[0].packed or model.storage != "float32":
        return False
    facts = node.facts
    square = facts["weights"].shape[2:] == (3, 3) and facts["strides"] == [1, 1] and facts["dilation"] == [1, 1]
    return bool(square and facts["groups"] == 1 and min(facts["weights"].shape[:2]) >= model.lanes)


def weigh(graph: Graph, model: TargetModel) -> None:
    """Note on every convolution what the whole network costs: `match` compares a layer's gain and size with that."""
    convolutions = [node for node in graph.nodes if "weights" in node.facts]
    constants = [arg for node in graph.nodes if "weights" not in node.facts for arg in node.args]
    weights = [node.facts["weights"] for node in convolutions]
    size = sum(array.nbytes for array in [*constants, *weights] if isinstance(array, np.ndarray))
    network = Network(sum(direct_cycles(conv_shape(node), model) for node in convolutions), size)
    for node in convolutions:
        node.facts[NETWORK] = network


def transform_weights(weights: Array, step: int, block: int, vectors: int) -> Array:
    """Return G g G^T of [K, C, 3, 3] as [K/(vectors*block), 36, C/step, step, vectors, block]."""
    out, cin = weights.shape[:2]
    blocks = ceil_div(out, block)
    full = np.zeros((blocks * block, cin, PATCH, PATCH), np.float32)
    full[:out] = np.einsum("ir,kcrs,js->kcij", G, weights.astype(np.float64), G)
    split = full.reshape(blocks // vectors, vectors, block, cin // step, step, PATCH * PATCH)
    return np.ascontiguousarray(split.transpose(0, 5, 3, 4, 1, 2))


def lower(region: Region, model: TargetModel, choice: WinogradPlan | None = None) -> Kernel:
    """Return the kernel of a convolution region by Winograd's method, tiled by `choice` or else by rule."""
    node = region.anchor
    shape, weights = conv_shape(node), node.facts["weights"]
    choice = choice or plan(shape, model)
    block, in_block = block_of(shape.out, model), block_of(shape.cin, model)
    step = reduction_step(shape.cin, in_block)
    transformed = transform_weights(weights, step, block, choice.vectors)
    bias = pack_bias(node.facts["bias"], block)
    source = te.placeholder(packed_shape(node.args[0].shape, in_block), name="source")
    weight_tensor = te.placeholder(transformed.shape, name="weights")
    bias_tensor = te.placeholder(bias.shape, name="bias")
    columns = _transformed_output(source, weight_tensor, shape, choice, step, model)
    expression = PackedExpression(region.members, model)

    def whole(n: Any, k: Any, h: Any, w: Any, b: Any) -> Any:
        row = [columns[n, k, floordiv(h, OUT), floordiv(w, OUT), floormod(h, OUT), j, b] for j in range(PATCH)]
        return _pick(floormod(w, OUT), _output_rows(row))

    tiles = (shape.batch, bias.shape[0], OUT * choice.rows, OUT * choice.columns, block)
    full = te.compute(tiles, whole, name="full")
    out = te.compute(
        packed_shape(expression.shape, block),
        lambda *i: expression.at(i, full(*i) + bias_tensor[i[1], i[4]]),
        name="out",
    )
    tensors = [source, weight_tensor, bias_tensor, *expression.tensors, out]
    by_lane = model.multiplies_by_lane and step % model.lanes == 0
    sch = schedule(Schedule(te.create_prim_func(tensors)), choice, by_lane=by_lane)
    operands = [Operand(node.args[0], packed=True), Operand(transformed), Operand(bias), *expression.operands]
    tasks = "by channels" if choice.by_channels else f"{choice.task_rows}x{choice.task_columns}"
    detail = f"{shape}: {choice.vectors}x{choice.high}x{choice.wide}, tasks {tasks}"
    return Kernel(finish(sch), operands, expression.shape, packed=True, rule="winograd", detail=detail)


def _transformed_output(
    source: te.Tensor, weights: te.Tensor, shape: ConvShape, choice: WinogradPlan, step: int, model: TargetModel
) -> te.Tensor:
    """Return the stages up to the first half of the output transform, [N, K/b, rows, columns, 4, 6, b]."""
    block, in_block = block_of(shape.out, model), block_of(shape.cin, model)
    blocks, in_blocks = ceil_div(shape.out, block), ceil_div(shape.cin, in_block)
    rows, columns = choice.rows, choice.columns
    top, left = shape.padding[:2]
    extents = (shape.batch, in_blocks, OUT * rows + 2, OUT * columns + 2, in_block)
    pad = padded_stage(source, extents, (0, 0, top, left, 0), 0.0)

    def half(n: Any, c: Any, y: Any, x: Any, i: Any, j: Any, b: Any) -> Any:
        return _pick(i, _input_rows([pad[n, c, y * OUT + r, x * OUT + j, b] for r in range(PATCH)]))

    tile = (rows, columns, PATCH, PATCH)
    input_half = te.compute((shape.batch, in_blocks, *tile, in_block), half, name="input_half")
    image = te.compute(
        (shape.batch, PATCH, PATCH, in_blocks, rows, columns, in_block),
        lambda n, i, j, c, y, x, b: _pick(j, _input_rows([input_half[n, c, y, x, i, s, b] for s in range(PATCH)])),
        name="image",
    )
    rc, rb = te.reduce_axis((0, shape.cin // step), "rc"), te.reduce_axis((0, step), "rb")
    vectors = choice.vectors

    def read(n: Any, i: Any, j: Any, y: Any, x: Any) -> Any:
        if step == in_block:
            return image[n, i, j, rc, y, x, rb]
        channel = rc * step + rb
        return image[n, i, j, floordiv(channel, in_block), y, x, floormod(channel, in_block)]

    product = te.compute(
        (shape.batch, blocks, PATCH, PATCH, rows, columns, block),
        lambda n, k, i, j, y, x, b: te.sum(
            read(n, i, j, y, x) * weights[floordiv(k, vectors), i * PATCH + j, rc, rb, floormod(k, vectors), b],
            axis=[rc, rb],
        ),
        name="product",
    )
    return te.compute(
        (shape.batch, blocks, rows, columns, OUT, PATCH, block),
        lambda n, k, y, x, a, j, b: _pick(a, _output_rows([product[n, k, i, j, y, x, b] for i in range(PATCH)])),
        name="output_half",
    )


def _pick(index: Any, values: Sequence[Any]) -> Any:
    """Return values[index]; the loop over `index` is unrolled, so that one value remains."""
    chosen = values[-1]
    for at in reversed(range(len(values) - 1)):
        chosen = tirx.Select(index == at, values[at], chosen)
    return chosen


def _input_rows(d: Sequence[Any]) -> list[Any]:
    """Return B^T d, written so that equal subexpressions are equal trees."""
    two, four, five = f32(2.0), f32(4.0), f32(5.0)
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


def _output_rows(m: Sequence[Any]) -> list[Any]:
    """Return A^T m."""
    sum1, difference1, sum2, difference2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [
        m[0] + sum1 + sum2,
        difference1 + f32(2.0) * difference2,
        sum1 + f32(4.0) * sum2,
        difference1 + f32(8.0) * difference2 + m[5],
    ]


def schedule(sch: Schedule, choice: WinogradPlan, *, by_lane: bool) -> Schedule:
    """Tasks are rows of tiles: transform their input for all channels, then group by group multiply and transform back.

    `full` covers whole tiles, so every extent below it is constant; only the store of `out` is guarded.
    """
    names = ("dp", "input_half", "image", "product", "output_half", "full", "out")
    pad, input_half, image, product, output_half, full, out = (sch.get_sblock(name) for name in names)
    n, k, h, w, b = sch.get_loops(full)
    ko, ki = sch.split(k, [None, choice.vectors])
    down, ho, hi = sch.split(h, [None, choice.task_rows, OUT])
    along, wo, wi = sch.split(w, [None, choice.task_columns, OUT])
    sch.reorder(n, down, along, ko, ki, ho, wo, hi, wi, b)
    if choice.by_channels:
        task = ko = sch.fuse(n, down, along, ko)
    else:
        task = sch.fuse(n, down, along)
    sch.parallel(task)
    sch.compute_at(output_half, wo, preserve_unit_loops=True)
    sch.compute_at(product, ko, preserve_unit_loops=True)
    if not choice.by_channels:
        sch.compute_at(image, task, preserve_unit_loops=True)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    for block in (full, output_half, out):
        _unroll_tile(sch, block)

    n, k, i, j, y, x, b, rc, rb = sch.get_loops(product)[-9:]
    ym, yi = sch.split(y, [None, choice.high])
    xo, xi = sch.split(x, [None, choice.wide])
    sch.reorder(n, i, j, ym, xo, rc, rb, yi, xi, k, b)
    sch.vectorize(b)
    for loop in (yi, xi, k):
        sch.unroll(loop)
    if by_lane:
        load_vectors(sch, product, rc, rb)

    n, i, j, c, y, x, b = sch.get_loops(image)[-7:]
    sch.reorder(n, c, y, x, i, j, b)
    if choice.by_channels:
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
