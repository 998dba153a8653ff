"""Parameters of a convolution, its tiles, and its weights in the order in which the kernel reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import AnyConvolution, Array, Convolution, IntegerConvolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Region, Workload
from edgec.targets.tvm.schedules.common.tiles import MAX_VECTORS, ConvTile, conv_tile, task_rows, tile_cost
from edgec.targets.tvm.schedules.common.tilings import register_tiles, task_sizes

FLOAT_BYTES = 4
MOST_INSIDE = 0.7
"""Share of products with pixels inside the input below which products with padding are skipped."""
MOST_OF_L2, LARGE_TILE_COST = 0.625, 1.25
"""Share of L2 above which a tile's weights are read from beyond it for every row, and the factor that costs."""
COPY_COST = 1.2
"""Ratio of tile costs above which a tile that does not divide the row is worth a padding copy."""


@dataclass(frozen=True)
class ConvShape:
    """All parameters on which the template depends."""

    batch: int
    cin: int
    height: int
    width: int
    out: int
    out_height: int
    out_width: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    packed_input: bool

    def __str__(self) -> str:
        size, kernel = f"{self.out}x{self.out_height}x{self.out_width}", "x".join(map(str, self.kernel))
        marks = "".join(f" {name}{'x'.join(map(str, pair))}" for name, pair in self._uncommon())
        return f"{self.cin}x{self.height}x{self.width} > {size}, {kernel}{marks}"

    def _uncommon(self) -> list[tuple[str, tuple[int, ...]]]:
        marks = [
            ("/", self.strides),
            ("dilated ", self.dilation),
            ("groups ", (self.groups,)),
            ("batch ", (self.batch,)),
        ]
        return [(name, values) for name, values in marks if any(value != 1 for value in values)]

    @property
    def sparse(self) -> bool:
        """Return whether so many taps, as with large dilations, meet padding that a test before each one pays."""
        inside = [
            sum(0 <= at * stride + tap * dilation - before < size for at in range(resized) for tap in range(taps))
            / (resized * taps)
            for size, resized, taps, stride, dilation, before in (
                (self.height, self.out_height, self.kernel[0], self.strides[0], self.dilation[0], self.padding[0]),
                (self.width, self.out_width, self.kernel[1], self.strides[1], self.dilation[1], self.padding[1]),
            )
        ]
        return self.packed_input and math.prod(inside) < MOST_INSIDE

    @property
    def pointwise(self) -> bool:
        """Return whether each output pixel reads only the input pixel at its own position."""
        same = (self.height, self.width) == (self.out_height, self.out_width)
        return self.kernel == (1, 1) and self.strides == (1, 1) and not any(self.padding) and same and self.packed_input


@dataclass(frozen=True)
class ConvPlan:
    """The tiling: register tile, whether rows are fused into one, and `rows` per task that computes all channels.

    For a fused row, `rows` counts register tiles. None: a task computes one tile of channels, of a row or a chunk.
    """

    tile: ConvTile
    flat: bool
    columns: int
    rows: int | None


def conv_shape(node: Node) -> ConvShape:
    """Return the template's parameters for a convolution of floats or bytes."""
    assert isinstance(node.facts, AnyConvolution) and node.shape is not None
    layer, (batch, cin, height, width) = node.facts, node.args[0].shape
    out, _, rows, columns = layer.weights.shape
    return ConvShape(
        batch=batch,
        cin=cin,
        height=height,
        width=width,
        out=out,
        out_height=node.shape[2],
        out_width=node.shape[3],
        kernel=(rows, columns),
        strides=layer.strides,
        dilation=layer.dilation,
        padding=layer.padding,
        groups=layer.groups,
        packed_input=isinstance(layer, IntegerConvolution) or bool(node.args[0].packed),
    )


def group_span(shape: ConvShape, channels: int) -> int:
    """Return the maximum number of groups whose inputs a tile of `channels` output channels reads."""
    each = shape.out // shape.groups
    firsts = range(0, shape.out, channels)
    return max((min(first + channels, shape.out) - 1) // each - first // each + 1 for first in firsts)


def first_group(tile: Any, channels: int, span: int, shape: ConvShape) -> Any:
    """Return the first of the `span` groups whose inputs tile number `tile` reads; an expression or an integer."""
    group = tile * channels // (shape.out // shape.groups)
    last = shape.groups - span
    return min(group, last) if isinstance(tile, int) else tirx.min(group, last)


def plan_by_rule(shape: ConvShape, cpu: CpuModel) -> ConvPlan:
    """Return the tiles for a convolution of `shape`."""
    block = block_of(shape.out, cpu)
    blocks = ceil_div(shape.out, block)
    work = tuple(_work(shape, vectors * block, cpu) for vectors in range(1, MAX_VECTORS + 1))
    rows_tile = conv_tile(blocks, shape.out_width, block, cpu, work=work)
    columns = ceil_div(shape.out_width, rows_tile.pixels) * rows_tile.pixels
    if shape.pointwise and not cpu.converts:  # a conversion of rows is a copy
        pixels = shape.out_height * shape.out_width
        tile = conv_tile(blocks, pixels, block, cpu, exact=True, work=work)
        waste = columns / shape.out_width
        if _cost(tile, block, cpu) <= COPY_COST * waste * _cost(rows_tile, block, cpu):
            return ConvPlan(tile, flat=True, columns=pixels, rows=None)
    tile = rows_tile
    if columns != shape.out_width and not any(shape.padding):
        exact = conv_tile(blocks, shape.out_width, block, cpu, exact=True, work=work)
        if _cost(exact, block, cpu) <= COPY_COST * columns / shape.out_width * _cost(tile, block, cpu):
            tile, columns = exact, shape.out_width
    rows = rows_of_task(shape, FLOAT_BYTES, cpu)
    if rows is not None and _weights_stay(shape, tile.vectors * block, rows, cpu):
        rows = shape.out_height if cpu.cores == 1 else None
    return ConvPlan(tile, flat=False, columns=columns, rows=rows)


def rows_of_task(shape: ConvShape, size: int, cpu: CpuModel) -> int | None:
    """Return the number of output rows per task, see `task_rows`; elements of the input have `size` bytes."""
    row_bytes = shape.strides[0] * (shape.width + shape.padding[1] + shape.padding[3]) * shape.cin * size
    return task_rows(shape.out_height, row_bytes, cpu)


def _work(shape: ConvShape, channels: int, cpu: CpuModel) -> float:
    """Return the relative work of tiles of `channels` output channels: groups read, weights too large for L2."""
    each = shape.out // shape.groups
    firsts = range(0, shape.out, channels)
    groups = sum((min(first + channels, shape.out) - 1) // each - first // each + 1 for first in firsts) / len(firsts)
    large = weight_bytes(shape, channels) * group_span(shape, channels) > MOST_OF_L2 * cpu.l2
    return groups * (LARGE_TILE_COST if large else 1.0)


def weight_bytes(shape: ConvShape, channels: int) -> int:
    """Return the size of the weights of `channels` output channels."""
    return channels * shape.cin // shape.groups * shape.kernel[0] * shape.kernel[1] * FLOAT_BYTES


def _weights_stay(shape: ConvShape, channels: int, rows: int, cpu: CpuModel) -> bool:
    """Return whether a task goes through all rows with the weights of one tile, not through all weights with few rows.

    Otherwise weights beyond L2 are fetched again for each `rows` rows; this way the input is, for each channel tile.
    """
    weights = weight_bytes(shape, shape.out)
    inputs = shape.cin * shape.height * shape.width * FLOAT_BYTES
    tiles = ceil_div(shape.out, channels)
    return weights > cpu.l2 // 2 and weights + tiles * inputs < weights * shape.out_height // rows


def _cost(tile: ConvTile, block: int, cpu: CpuModel) -> float:
    return tile_cost(tile.vectors, tile.pixels, block, cpu)


def window_weights(weights: Array, shape: ConvShape, channels: int) -> Array:
    """Return [K, C/groups, R, S] as [K rounded up, C window, R, S]: what each tile of `channels` outputs reads.

    The window consists of the groups that a tile reads; weights of groups to which an output does not belong are zero.
    """
    out, cin, *kernel = weights.shape
    span, each = group_span(shape, channels), out // shape.groups
    wide = np.zeros((ceil_div(out, channels) * channels, span * cin, *kernel), np.float32)
    for group in range(shape.groups):
        for row in range(group * each, (group + 1) * each):
            at = (group - first_group(row // channels, channels, span, shape)) * cin
            wide[row, at : at + cin] = weights[row]
    return wide


def pack_weights(weights: Array, step: int, block: int, vectors: int) -> Array:
    """Return [K, C, R, S] as [K/(vectors*block), C/step, R, S, step, vectors, block], the order of the loops."""
    out, cin, rows, columns = weights.shape
    split = weights.reshape(out // (vectors * block), vectors, block, cin // step, step, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 3, 5, 6, 4, 1, 2))


def pack_bias(bias: Array, block: int, vectors: int = 1) -> Array:
    """Return [K] as [K/block, block], padded with zeros to whole tiles of `vectors` blocks."""
    blocks = ceil_div(len(bias), block * vectors) * vectors
    padded = np.zeros(blocks * block, np.float32)
    padded[: len(bias)] = bias
    return padded.reshape(blocks, block)


def conv_plans(shape: ConvShape, cpu: CpuModel) -> list[ConvPlan]:
    """Return the tilings of a direct convolution: good tiles with all tasks, good tasks with all tiles, first."""
    block = block_of(shape.out, cpu)
    blocks = ceil_div(shape.out, block)
    ranked: list[tuple[int, ConvPlan]] = []
    for rank, tile in enumerate(register_tiles(blocks, shape.out_width, block, cpu)):
        columns = ceil_div(shape.out_width, tile.pixels) * tile.pixels
        rows = [None, *task_sizes(shape.batch, shape.out_height, cpu)]
        ranked += [(rank + at, ConvPlan(tile, False, columns, count)) for at, count in enumerate(rows)]
    if shape.pointwise and not cpu.converts:
        pixels = shape.out_height * shape.out_width
        for rank, tile in enumerate(register_tiles(blocks, pixels, block, cpu, exact=True)):
            tasks = [None, *task_sizes(shape.batch, pixels // tile.pixels, cpu)]
            ranked += [(rank + at, ConvPlan(tile, True, pixels, count)) for at, count in enumerate(tasks)]
    return [plan for _, plan in sorted(ranked, key=lambda entry: entry[0])]


def conv_workload(region: Region) -> Workload:
    """Return the workload of a convolution, independent of the method."""
    return named_workload(region, "conv")


def named_workload(region: Region, name: str) -> Workload:
    """Return the workload `name` of a region that begins with a convolution."""
    shape, shuffle = conv_shape(region.anchor), region.anchor.known(Convolution).shuffle
    marks = [f"pad {'x'.join(map(str, shape.padding))}" if any(shape.padding) else ""]
    marks += ["" if shape.packed_input else "of plain input", "shuffled" if shuffle is not None else ""]
    key = " ".join([f"{name} {shape}", *filter(None, marks)])
    taps = shape.cin // shape.groups * shape.kernel[0] * shape.kernel[1]
    return Workload(key + region.followers(), shape.batch * shape.out * shape.out_height * shape.out_width * taps)
