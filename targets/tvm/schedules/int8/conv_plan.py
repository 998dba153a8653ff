"""Tiles of integer convolutions, and their weights in the order in which the kernel reads them."""

from __future__ import annotations

from functools import cache

import numpy as np

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import Array, IntegerConvolution, IntegerProduct
from edgec.targets.tvm.schedules.common.tiles import MAX_ACCUMULATORS, MAX_VECTORS, ConvTile, cheapest
from edgec.targets.tvm.schedules.float.conv_plan import COPY_COST, ConvPlan, ConvShape, group_span, rows_of_task
from edgec.targets.tvm.schedules.int8.dot_product import DEPTH, pixels_of_step

LOAD_WEIGHT = 0.4
"""Share of a load's cycle that dot products do not hide, fitted to kernel times measured on AVX512-VNNI."""


def dots_fit_registers(vectors: int, pixels: int, cpu: CpuModel) -> bool:
    """Return whether accumulators, the weights of one step and one register of input fit the registers."""
    accumulators = vectors * pixels
    inputs = pixels // pixels_of_step(cpu)
    needed = accumulators + (inputs + 1 if cpu.isa == "neon" else vectors + 1)
    return accumulators <= MAX_ACCUMULATORS and needed <= min(cpu.registers, 29 if cpu.isa == "neon" else 32)


def dot_cost(vectors: int, pixels: int, cpu: CpuModel) -> float:
    """Return the estimated cycles per dot product of a tile; 1 if their throughput is the limit."""
    accumulators = vectors * pixels
    latency = cpu.fma_latency * cpu.fma_ports / accumulators
    loads = (vectors + pixels / pixels_of_step(cpu)) / accumulators
    # On NEON loads are not free, so instructions are counted.
    return max(1.0, latency) + (1.0 if cpu.isa == "neon" else LOAD_WEIGHT) * loads


@cache
def dot_tile(
    blocks: int, width: int, cpu: CpuModel, *, exact: bool = False, work: tuple[float, ...] = (1.0,) * MAX_VECTORS
) -> ConvTile:
    """Return the register tile for rows of `width` pixels and `blocks` vectors of output channels.

    Arguments are as for `conv_tile`; pixels are a multiple of those that one instruction computes.
    """
    step = pixels_of_step(cpu)
    fitting = (
        ConvTile(vectors, pixels)
        for vectors in range(1, min(blocks, MAX_VECTORS) + 1)
        for pixels in range(step, min(ceil_div(width, step) * step, MAX_ACCUMULATORS) + 1, step)
        if not (exact and width % pixels) and dots_fit_registers(vectors, pixels, cpu)
    )

    def cost(tile: ConvTile) -> float:
        return dot_cost(tile.vectors, tile.pixels, cpu) * work[tile.vectors - 1]

    best = cheapest(fitting, blocks, width, cost)
    if best is None:
        return dot_tile(blocks, width, cpu, work=work) if exact else ConvTile(1, step)
    return best


def plan_by_rule(shape: ConvShape, cpu: CpuModel) -> ConvPlan:
    """Return the tiles for an integer convolution of `shape`."""
    block = block_of(shape.out, cpu)
    blocks = ceil_div(shape.out, block)
    work = tuple(float(group_span(shape, vectors * block)) for vectors in range(1, MAX_VECTORS + 1))
    tile = dot_tile(blocks, shape.out_width, cpu, work=work)
    columns = ceil_div(shape.out_width, tile.pixels) * tile.pixels
    if shape.pointwise:
        pixels = shape.out_height * shape.out_width
        flat = dot_tile(blocks, pixels, cpu, exact=True, work=work)
        padded = ceil_div(pixels, flat.pixels) * flat.pixels
        waste = columns / shape.out_width * pixels / padded
        if dot_cost(flat.vectors, flat.pixels, cpu) <= COPY_COST * waste * dot_cost(tile.vectors, tile.pixels, cpu):
            return ConvPlan(flat, flat=True, columns=padded, rows=None)
    return ConvPlan(tile, flat=False, columns=columns, rows=rows_of_task(shape, 1, cpu))


def pack_dot_weights(weights: Array, step: int, block: int, vectors: int) -> Array:
    """Return int8 [K, C, R, S] as [K/(vectors*block), C/step, R, S, step/4, vectors, block, 4], padded with zeros."""
    out, cin, rows, columns = weights.shape
    tiles, depth = ceil_div(out, vectors * block), ceil_div(cin, step)
    full = np.zeros((tiles * vectors * block, depth * step, rows, columns), np.int8)
    full[:out, :cin] = weights
    split = full.reshape(tiles, vectors, block, depth, step // DEPTH, DEPTH, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 3, 6, 7, 4, 1, 2, 5))


def requantization(layer: IntegerConvolution | IntegerProduct) -> tuple[Array, Array]:
    """Return factor and addend per channel that convert the accumulator of an integer layer to its real result.

    sum((q - z) * w) * s + bias = acc * s + (bias - z * sum(w) * s); computed in double precision.
    """
    sums = layer.weights.reshape(len(layer.weights), -1).sum(axis=1, dtype=np.int64)
    return layer.scales, layer.bias - layer.scaling.zero_point * sums * layer.scales
