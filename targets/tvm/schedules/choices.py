"""What a region could also be made of: the tilings worth measuring, the one by rule first.

Decided are register tile, task size, which loop is parallel and which is inside, and Winograd or direct. A plan decides
how weights are packed too, so it is chosen before a kernel is written and not by rewriting a finished one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.grow import Region
from edgec.targets.tvm.schedules.common import window
from edgec.targets.tvm.schedules.common.tiles import (
    MAX_ACCUMULATORS,
    MAX_VECTORS,
    ConvTile,
    block_of,
    ceil_div,
    divisors,
    fits_registers,
    tile_cost,
    unevenness,
)
from edgec.targets.tvm.schedules.common.window import WindowPlan
from edgec.targets.tvm.schedules.float import conv_plan, winograd, winograd_plan
from edgec.targets.tvm.schedules.float.conv_plan import ConvPlan, ConvShape, conv_shape
from edgec.targets.tvm.schedules.float.winograd_plan import WinogradPlan
from edgec.targets.tvm.schedules.plain import matmul
from edgec.targets.tvm.target_model import TargetModel

TUNABLE = ("conv", "winograd", "depthwise", "matmul")
"""Rules whose kernels take a plan."""
MOST_UNEVEN = 1.15
"""Of how tasks divide over the cores; beyond it no tile makes up for the core that waits."""
HOPELESS = 1.6
"""Register tiles that are estimated to take so much longer than the best one are left out."""
SAVED_AT_BEST = 1 / 3
"""Of the direct convolution's time, by Winograd's method where the estimate sees no gain."""


@dataclass(frozen=True)
class Choice:
    """A rule and its plan."""

    rule: str
    plan: ConvPlan | WinogradPlan | WindowPlan | ConvTile

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; equal ones are equal choices."""
        return {"rule": self.rule, **asdict(self.plan)}


@dataclass(frozen=True)
class Workload:
    """What the time of a region's kernel depends on, as text, and its multiply-accumulates done directly."""

    key: str
    macs: int


def workload_of(region: Region) -> Workload | None:
    """Return the workload of `region`; None where there is nothing to choose."""
    if region.rule not in TUNABLE:
        return None
    node = region.anchor
    tail = ", ".join(member.op.removeprefix("relax.").removeprefix("nn.") for member in region.members[1:])
    if region.rule == "matmul":
        product = matmul.product_of(node)
        left, right = node.args
        constant = "" if isinstance(left, Node) else " constant left"
        constant += "" if isinstance(right, Node) else " constant"
        sizes = f"{product.batch}x{product.rows}x{product.depth} by {product.depth}x{product.columns}"
        macs = product.batch * product.rows * product.depth * product.columns
        return Workload(f"matmul {sizes}{constant}" + (f": {tail}" if tail else ""), macs)
    shape = conv_shape(node)
    marks = [f"pad {'x'.join(map(str, shape.padding))}" if any(shape.padding) else ""]
    marks += ["" if shape.packed_input else "of plain input", "shuffled" if "shuffle" in node.facts else ""]
    name = "depthwise" if region.rule == "depthwise" else "conv"
    key = " ".join([f"{name} {shape}", *filter(None, marks)])
    taps = shape.cin // shape.groups * shape.kernel[0] * shape.kernel[1]
    macs = shape.batch * shape.out * shape.out_height * shape.out_width * taps
    return Workload(key + (f": {tail}" if tail else ""), macs)


def choices_of(region: Region, model: TargetModel) -> list[Choice]:
    """Return the choices for a region that has a workload: the one by rule, then the others, promising ones first."""
    node = region.anchor
    if region.rule == "matmul":
        tile = matmul.plan(matmul.product_of(node), model)
        return [Choice("matmul", each) for each in _first(tile, matmul_tiles(matmul.product_of(node), model))]
    shape = conv_shape(node)
    if region.rule == "depthwise":
        by_rule = window.plan(node, shape.kernel, model)
        return [Choice("depthwise", each) for each in _first(by_rule, window_plans(shape, model))]
    direct = [Choice("conv", each) for each in _first(conv_plan.plan(shape, model), conv_plans(shape, model))]
    transformed: list[Choice] = []
    if region.rule == "winograd" or (winograd.possible(node, model) and _may_pay(shape, model, node.facts)):
        tiling = winograd_plan.plan(shape, model)
        transformed = [Choice("winograd", each) for each in _first(tiling, winograd_plans(shape, model))]
    return _in_turn(transformed, direct) if region.rule == "winograd" else _in_turn(direct, transformed)


def conv_plans(shape: ConvShape, model: TargetModel) -> list[ConvPlan]:
    """Return the tilings of a direct convolution: good tiles with all tasks, good tasks with all tiles, first."""
    block = block_of(shape.out, model)
    blocks = ceil_div(shape.out, block)
    ranked: list[tuple[int, ConvPlan]] = []
    for rank, tile in enumerate(_tiles(blocks, shape.out_width, block, model)):
        columns = ceil_div(shape.out_width, tile.pixels) * tile.pixels
        rows = [None, *_counts(shape.batch, shape.out_height, model)]
        ranked += [(rank + at, ConvPlan(tile, False, columns, count)) for at, count in enumerate(rows)]
    if shape.pointwise and not model.converts:
        pixels = shape.out_height * shape.out_width
        for rank, tile in enumerate(_tiles(blocks, pixels, block, model, exact=True)):
            tasks = [None, *_counts(shape.batch, pixels // tile.pixels, model)]
            ranked += [(rank + at, ConvPlan(tile, True, pixels, count)) for at, count in enumerate(tasks)]
    return [plan for _, plan in sorted(ranked, key=lambda entry: entry[0])]


def winograd_plans(shape: ConvShape, model: TargetModel) -> list[WinogradPlan]:
    """Return the tilings of a Winograd convolution, cheapest by estimate first."""
    return sorted(
        dict.fromkeys(winograd_plan.tilings(shape, model)),
        key=lambda tiling: winograd_plan.winograd_cycles(shape, tiling, model),
    )


def window_plans(shape: ConvShape, model: TargetModel) -> list[WindowPlan]:
    """Return the tilings of a depthwise convolution: wide vectors first, all task sizes of each."""
    limit = min(shape.out_width, model.registers - 8)
    widths = sorted(range(1, limit + 1), key=lambda pixels: (ceil_div(shape.out_width, pixels) * pixels, -pixels))
    tasks = shape.batch * ceil_div(shape.cin, block_of(shape.cin, model))
    rows: list[int | None] = [None, *_counts(tasks, shape.out_height, model)]
    ranked = [
        (rank + at, WindowPlan(pixels, count)) for rank, pixels in enumerate(widths) for at, count in enumerate(rows)
    ]
    return [plan for _, plan in sorted(ranked, key=lambda entry: entry[0])]


def matmul_tiles(product: matmul.Product, model: TargetModel) -> list[ConvTile]:
    """Return the register tiles of a matrix product, cheapest by estimate first."""
    block = block_of(product.columns, model)
    return _tiles(ceil_div(product.columns, block), product.rows, block, model)


def _tiles(blocks: int, width: int, block: int, model: TargetModel, *, exact: bool = False) -> list[ConvTile]:
    """Return the register tiles for rows of `width` pixels by estimated cycles, the hopeless ones left out."""

    def cost(tile: ConvTile) -> float:
        columns, vectors = ceil_div(width, tile.pixels) * tile.pixels, ceil_div(blocks, tile.vectors) * tile.vectors
        return tile_cost(tile.vectors, tile.pixels, block, model) * columns / width * vectors / blocks

    fitting = [
        ConvTile(vectors, pixels)
        for vectors in range(1, min(blocks, MAX_VECTORS) + 1)
        for pixels in range(1, min(width, MAX_ACCUMULATORS) + 1)
        if fits_registers(vectors, pixels, model) and not (exact and width % pixels)
    ]
    ranked = sorted(fitting, key=lambda tile: (round(cost(tile), 4), -tile.vectors * tile.pixels))
    return [tile for tile in ranked if cost(tile) <= HOPELESS * cost(ranked[0])]


def _counts(others: int, extent: int, model: TargetModel) -> list[int]:
    """Return the sizes of tasks into which `extent` can be cut, `others` times over, that keep all cores busy."""
    wanted = [count for count in divisors(extent) if unevenness(others * extent // count, model) <= MOST_UNEVEN]
    # Middle sizes first: small tasks cost calls, large ones leave the caches.
    return sorted(wanted, key=lambda count: abs(math.log2(count * count / extent)))


def _may_pay(shape: ConvShape, model: TargetModel, facts: dict[str, Any]) -> bool:
    network = facts.get(winograd.NETWORK)
    direct = winograd_plan.direct_cycles(shape, model)
    return network is None or winograd_plan.affordable(shape, SAVED_AT_BEST * direct, network)


def _first(plan: Any, others: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys([plan, *others]))


def _in_turn(one: Sequence[Choice], other: Sequence[Choice]) -> list[Choice]:
    """Return both, by turns until the shorter ends."""
    paired = [choice for pair in zip(one, other, strict=False) for choice in pair]
    return [*paired, *one[len(other) :], *other[len(one) :]]
