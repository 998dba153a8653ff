"""Tiles of the products of a recurrent layer with its state, and their weights in the order of the loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import ceil_div
from edgec.targets.tvm.recurrence import Recurrence
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.schedules.common.tiles import divisors, fits_registers, tile_cost

MOST_SUMS = 4
"""Maximum number of partial sums of one product; more rows of weights at a time gain nothing."""


@dataclass(frozen=True)
class Product:
    """Product of some gates with a state: `vectors` of `lanes` units of each gate at a time, for `rows` of the batch.

    Each is summed in `sums` parts, so that additions do not wait for one another.
    """

    gates: tuple[int, ...]
    lanes: int
    vectors: int
    rows: int
    sums: int

    @property
    def units(self) -> int:
        """Number of units of a gate that one tile computes."""
        return self.lanes * self.vectors


def products(what: Recurrence, cpu: CpuModel) -> tuple[Product, ...]:
    """Return the products of one step; a GRU whose reset gate scales the state needs that gate before the candidate."""
    two = what.kind == "GRU" and not what.reset_after
    gates = ((0, 1), (2,)) if two else (tuple(range(what.gates)),)
    tiles = [_tile(what, each, cpu) for each in gates]
    rows = min(tile.rows for tile in tiles)
    return tuple(Product(tile.gates, tile.lanes, tile.vectors, rows, tile.sums) for tile in tiles)


def _tile(what: Recurrence, gates: tuple[int, ...], cpu: CpuModel) -> Product:
    lanes = math.gcd(what.columns, cpu.lanes)
    count = len(gates)

    def cost(tile: Product) -> tuple[float, int]:
        vectors = count * tile.vectors * tile.sums
        waste = ceil_div(what.batch, tile.rows) * tile.rows / what.batch
        return round(tile_cost(vectors, tile.rows, lanes, cpu) * waste, 4), -tile.rows

    tiles = [
        Product(gates, lanes, vectors, rows, sums)
        for vectors in divisors(what.columns // lanes)
        for rows in range(1, what.batch + 1)
        for sums in (1, 2, MOST_SUMS)
        if what.hidden % sums == 0 and fits_registers(count * vectors * sums, rows, cpu)
    ]
    return min(tiles, key=cost, default=Product(gates, lanes, 1, 1, 1))


def pack(weights: Array, what: Recurrence, product: Product) -> Array:
    """Return [directions, gates * hidden, hidden] as [directions, columns/units, hidden/sums, sums, gates, units].

    It contains only the gates of `product`; padding units are zero.
    """
    hidden = what.hidden
    chosen = weights.reshape(what.directions, what.gates, hidden, hidden)[:, list(product.gates)]
    full = np.zeros((what.directions, len(product.gates), what.columns, hidden), weights.dtype)
    full[:, :, :hidden] = chosen
    tiles = what.columns // product.units
    split = full.reshape(what.directions, len(product.gates), tiles, product.units, -1, product.sums)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 1, 3))


def pack_rows(rows: Array, what: Recurrence, gates: int) -> Array:
    """Return [directions, gates * hidden] as [directions, gates, columns], padded with zeros."""
    full = np.zeros((what.directions, gates, what.columns), np.float32)
    full[:, :, : what.hidden] = rows.reshape(what.directions, gates, what.hidden)
    return full
