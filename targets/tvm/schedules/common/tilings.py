"""Candidates of a tuning run: register tiles, promising ones first, and sizes of tasks that keep all cores busy."""

from __future__ import annotations

import math

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import ceil_div
from edgec.targets.tvm.schedules.common.tiles import (
    MAX_ACCUMULATORS,
    MAX_VECTORS,
    ConvTile,
    divisors,
    fits_registers,
    tile_cost,
    unevenness,
)

MOST_UNEVEN = 1.15
"""Maximum imbalance of tasks over the cores; beyond it no tile makes up for the core that waits."""
HOPELESS = 1.6
"""Register tiles with an estimate above this multiple of the best one are left out."""


def register_tiles(blocks: int, width: int, block: int, cpu: CpuModel, *, exact: bool = False) -> list[ConvTile]:
    """Return the register tiles for rows of `width` pixels by estimated cycles, without those beyond the limit."""

    def cost(tile: ConvTile) -> float:
        columns, vectors = ceil_div(width, tile.pixels) * tile.pixels, ceil_div(blocks, tile.vectors) * tile.vectors
        return tile_cost(tile.vectors, tile.pixels, block, cpu) * columns / width * vectors / blocks

    fitting = [
        ConvTile(vectors, pixels)
        for vectors in range(1, min(blocks, MAX_VECTORS) + 1)
        for pixels in range(1, min(width, MAX_ACCUMULATORS) + 1)
        if fits_registers(vectors, pixels, cpu) and not (exact and width % pixels)
    ]
    ranked = sorted(fitting, key=lambda tile: (round(cost(tile), 4), -tile.vectors * tile.pixels))
    return [tile for tile in ranked if cost(tile) <= HOPELESS * cost(ranked[0])]


def task_sizes(others: int, extent: int, cpu: CpuModel) -> list[int]:
    """Return the sizes of tasks into which `extent` can be cut, `others` times over, that keep all cores busy."""
    wanted = [count for count in divisors(extent) if unevenness(others * extent // count, cpu) <= MOST_UNEVEN]
    # Middle sizes first: small tasks cost calls, large ones leave the caches.
    return sorted(wanted, key=lambda count: abs(math.log2(count * count / extent)))
