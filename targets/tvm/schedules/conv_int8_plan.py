"""Tiles of integer convolutions, and their weights in the order the kernel reads them."""

from __future__ import annotations

from functools import cache

import numpy as np

from edgec.targets.tvm.regions.graph import Array, Node
from edgec.targets.tvm.schedules.conv_plan import ConvPlan, ConvShape, group_span
from edgec.targets.tvm.schedules.dot_product import DEPTH, pixels_of_step
from edgec.targets.tvm.schedules.tiles import (
    MAX_ACCUMULATORS,
    MAX_VECTORS,
    ConvTile,
    block_of,
    ceil_div,
    task_rows,
)
from edgec.targets.tvm.target_model import TargetModel

LOAD_WEIGHT = 0.4
"""Share of a load's cycle that the dot products do not hide; fits the kernel times measured on AVX512-VNNI."""
COPY_COST = 1.2
"""A padding copy made only for the sake of a tile that does not divide: worth it above this ratio of tile costs."""


def int8_shape(node: Node) -> ConvShape:
    """Return the template's parameters for an integer convolution."""
    facts, (batch, cin, height, width) = node.facts, node.args[0].shape
    assert node.shape is not None
    return ConvShape(
        batch=batch,
        cin=cin,
        height=height,
        width=width,
        out=len(facts["integers"]),
        out_height=node.shape[2],
        out_width=node.shape[3],
        kernel=facts["integers"].shape[2:],
        strides=tuple(facts["strides"]),
        dilation=tuple(facts["dilation"]),
        padding=tuple(facts["padding"]),
        groups=facts["groups"],
        packed_input=True,
    )


def fits_registers(vectors: int, pixels: int, model: TargetModel) -> bool:
    """Whether accumulators, the weights of one step and a register of input find room."""
    accumulators = vectors * pixels
    inputs = pixels // pixels_of_step(model)
    needed = accumulators + (inputs + 1 if model.isa == "neon" else vectors + 1)
    return accumulators <= MAX_ACCUMULATORS and needed <= min(model.registers, 29 if model.isa == "neon" else 32)


def dot_cost(vectors: int, pixels: int, model: TargetModel) -> float:
    """Return the estimated cost of a dot product of a tile, 1 where their throughput is the limit."""
    accumulators = vectors * pixels
    latency = model.fma_latency * model.fma_ports / accumulators
    loads = (vectors + pixels / pixels_of_step(model)) / accumulators
    # NEON has no loads for free: instructions are counted.
    return max(1.0, latency) + (1.0 if model.isa == "neon" else LOAD_WEIGHT) * loads


@cache
def dot_tile(
    blocks: int, width: int, model: TargetModel, *, exact: bool = False, work: tuple[float, ...] = (1.0,) * MAX_VECTORS
) -> ConvTile:
    """Return the register tile for rows of `width` pixels and `blocks` vectors of output channels.

    Arguments as for `conv_tile`; pixels are a multiple of what one instruction takes.
    """
    step = pixels_of_step(model)
    best: tuple[float, int, ConvTile] | None = None
    for vectors in range(1, min(blocks, MAX_VECTORS) + 1):
        for pixels in range(step, min(ceil_div(width, step) * step, MAX_ACCUMULATORS) + 1, step):
            if (exact and width % pixels) or not fits_registers(vectors, pixels, model):
                continue
            waste = ceil_div(width, pixels) * pixels / width * ceil_div(blocks, vectors) * vectors / blocks
            cost = round(dot_cost(vectors, pixels, model) * waste * work[vectors - 1], 4)
            key = (cost, -vectors * pixels, ConvTile(vectors, pixels))
            if best is None or key[:2] < best[:2]:
                best = key
    if best is None:
        return dot_tile(blocks, width, model, work=work) if exact else ConvTile(1, step)
    return best[2]


def plan(shape: ConvShape, model: TargetModel) -> ConvPlan:
    """Return the tiles for an integer convolution of `shape`."""
    block = block_of(shape.out, model)
    blocks = ceil_div(shape.out, block)
    work = tuple(float(group_span(shape, vectors * block)) for vectors in range(1, MAX_VECTORS + 1))
    tile = dot_tile(blocks, shape.out_width, model, work=work)
    columns = ceil_div(shape.out_width, tile.pixels) * tile.pixels
    if shape.pointwise:
        pixels = shape.out_height * shape.out_width
        flat = dot_tile(blocks, pixels, model, exact=True, work=work)
        padded = ceil_div(pixels, flat.pixels) * flat.pixels
        waste = columns / shape.out_width * pixels / padded
        if dot_cost(flat.vectors, flat.pixels, model) <= COPY_COST * waste * dot_cost(tile.vectors, tile.pixels, model):
            return ConvPlan(flat, flat=True, columns=padded, rows=None)
    row_bytes = shape.strides[0] * (shape.width + shape.padding[1] + shape.padding[3]) * shape.cin
    return ConvPlan(tile, flat=False, columns=columns, rows=task_rows(shape.out_height, row_bytes, model))


def reduction_step(channels: int, block: int) -> int:
    """Return how many input channels of one block are reduced in a run: all if they fill blocks, else a divisor."""
    whole = ceil_div(channels, DEPTH) * DEPTH
    return next(step for step in (16, 8, 4) if step <= block and whole % step == 0)


def pack_dot_weights(weights: Array, step: int, block: int, vectors: int) -> Array:
    """Return int8 [K, C, R, S] as [K/(vectors*block), C/step, R, S, step/4, vectors, block, 4], zeros added."""
    out, cin, rows, columns = weights.shape
    tiles, depth = ceil_div(out, vectors * block), ceil_div(cin, step)
    full = np.zeros((tiles * vectors * block, depth * step, rows, columns), np.int8)
    full[:out, :cin] = weights
    split = full.reshape(tiles, vectors, block, depth, step // DEPTH, DEPTH, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 3, 6, 7, 4, 1, 2, 5))


def requantization(node: Node, channels: int) -> tuple[Array, Array]:
    """Return factor and addend a channel that turn the accumulator of an integer layer into its real result.

    sum((q - z) * w) * s + bias = acc * s + (bias - z * sum(w) * s); computed in double precision.
    """
    scales, integers = node.facts["scales"], node.facts["integers"]
    sums = integers.reshape(channels, -1).sum(axis=1, dtype=np.int64)
    return scales, node.facts["bias"] - node.facts["scaling"].zero_point * sums * scales
