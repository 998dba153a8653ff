"""How a Winograd convolution is tiled, and its estimated cost compared with the direct one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import Network
from edgec.targets.tvm.schedules.common.tiles import MAX_VECTORS, divisors, fits_registers, tile_cost
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape

OUT, PATCH = 4, 6
FLOAT_BYTES = 4
INPUT_CYCLES = 190.0
OUTPUT_CYCLES = 130.0
"""Cycles to transform one tile of one vector of channels: loads, stores and additions, measured together."""
NEAR_BYTES, FAR_BYTES, DISTANT_BYTES = 32.0, 20.0, 9.0
"""Bytes per cycle from L2, from beyond it, and from beyond `DISTANT` times L2 (memory), measured on Zen 5."""
DISTANT = 24
TASK_CYCLES = 2000.0
TASK_ROWS, TASK_PARTS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 3, 4, 6, 8)
"""Sizes of tasks that are tried: rows of tiles, and parts of such a row."""
SHORTEST_TASK = 8
"""Minimum number of tiles in a row of a task, unless the row is shorter."""
OVERFLOW = 1.25
"""Factor on the cost of work whose transformed input and products do not fit L2 together."""
ADVANTAGE = 0.85
"""Winograd is used if its estimate is below this share of the direct convolution's."""
SIZE_FOR_TIME = 24.0
"""Transformed filters have four times the size: a layer may add this share of the network's weights per share of the
network's time that it saves. This excludes late layers, with few pixels and many channels, and never early ones."""

SAVED_AT_BEST = 1 / 3
"""Share of the direct convolution's time that is assumed to be saved if the estimate sees no gain."""
DIRECT = (3 * OUT) ** 2 / PATCH**2
"""Multiplications of a direct 3x3 convolution for each one of this method."""


@dataclass(frozen=True)
class WinogradPlan:
    """Tiling: counts of 4x4 tiles, padded to whole tasks, and the register tile `vectors` x (`high` x `wide`) tiles.

    A task is `task_rows` x `task_columns` tiles; with `by_channels` it is one group of vectors of output channels over
    all tiles, and the input is transformed beforehand: each weight is then read once.
    """

    rows: int
    columns: int
    task_rows: int
    task_columns: int
    vectors: int
    high: int
    wide: int
    by_channels: bool

    def __str__(self) -> str:
        tasks = "by channels" if self.by_channels else f"{self.task_rows}x{self.task_columns}"
        return f"{self.vectors}x{self.high}x{self.wide}, tasks {tasks}"


def direct_cycles(shape: ConvShape, cpu: CpuModel) -> float:
    """Return the estimated cycles of the direct convolution."""
    block = block_of(shape.out, cpu)
    blocks = ceil_div(shape.out, block)
    taps = shape.cin // shape.groups * shape.kernel[0] * shape.kernel[1]
    return shape.batch * blocks * taps * shape.out_height * shape.out_width / cpu.fma_ports


def pays(shape: ConvShape, cpu: CpuModel, network: Network | None = None) -> bool:
    """Return whether the 3x3 convolution `shape` gains enough for the size that it adds to `network`."""
    direct, transformed = direct_cycles(shape, cpu), winograd_cycles(shape, plan_by_rule(shape, cpu), cpu)
    if transformed >= ADVANTAGE * direct:
        return False
    return network is None or affordable(shape, direct - transformed, network)


def affordable(shape: ConvShape, saved: float, network: Network) -> bool:
    """Return whether `saved` cycles are worth the size that transformed filters add to `network`."""
    growth = (PATCH * PATCH - 9) * shape.cin * shape.out * FLOAT_BYTES
    return growth / network.weight_bytes <= SIZE_FOR_TIME * saved / network.cycles


def winograd_cycles(shape: ConvShape, plan: WinogradPlan, cpu: CpuModel) -> float:
    """Return the estimated cycles of the Winograd convolution tiled by `plan`, times the imbalance of the cores."""
    block = block_of(shape.out, cpu)
    blocks, in_blocks = ceil_div(shape.out, block), ceil_div(shape.cin, block_of(shape.cin, cpu))
    tiles = shape.batch * plan.rows * plan.columns
    points = PATCH * PATCH
    cost = tile_cost(plan.vectors, plan.high * plan.wide, block, cpu)
    products = points * tiles * blocks * shape.cin / cpu.fma_ports * cost
    weights = points * shape.cin * blocks * block * FLOAT_BYTES
    image = points * plan.task_rows * plan.task_columns * shape.cin * FLOAT_BYTES
    result = points * plan.task_rows * plan.task_columns * plan.vectors * block * FLOAT_BYTES
    products *= OVERFLOW if image + result > cpu.l2 * 3 // 4 else 1.0
    if plan.by_channels:
        tasks = shape.batch * blocks // plan.vectors
        written = image / DISTANT_BYTES if image > cpu.l2 // 2 else 0.0
        streamed = shape.batch * weights / _rate(weights, cpu) + tasks * image / _rate(image, cpu)
    else:
        tasks, written = tiles // (plan.task_rows * plan.task_columns), 0.0
        streamed = tasks * weights / _rate(weights, cpu)
    idle = ceil_div(tasks, cpu.cores) * cpu.cores / tasks
    transforms = tiles * (in_blocks * INPUT_CYCLES + blocks * OUTPUT_CYCLES) * 2 / cpu.fma_ports
    return (max(products, streamed) + transforms + written + tasks * TASK_CYCLES) * idle


def _rate(size: float, cpu: CpuModel) -> float:
    """Return the bytes per cycle at which data of `size` bytes arrive if they are read repeatedly."""
    if size <= cpu.l2 // 2:
        return NEAR_BYTES
    return FAR_BYTES if size <= DISTANT * cpu.l2 else DISTANT_BYTES


@cache
def plan_by_rule(shape: ConvShape, cpu: CpuModel) -> WinogradPlan:
    """Return the tiling with the lowest estimate."""
    return min(tilings(shape, cpu), key=lambda tiling: winograd_cycles(shape, tiling, cpu))


def tilings(shape: ConvShape, cpu: CpuModel) -> list[WinogradPlan]:
    """Return the tilings that fit the registers."""
    rows, columns = ceil_div(shape.out_height, OUT), ceil_div(shape.out_width, OUT)
    blocks = ceil_div(shape.out, block_of(shape.out, cpu))
    candidates = []
    for task_rows in sorted({rows, *(count for count in TASK_ROWS if count < rows)}):
        for parts in (count for count in TASK_PARTS if count == 1 or columns // count >= SHORTEST_TASK):
            across = ceil_div(columns, parts)
            for vectors, high, wide in _register_tiles(blocks, task_rows, across, cpu):
                task_columns = ceil_div(across, wide) * wide
                padded_rows = ceil_div(rows, task_rows) * task_rows
                padded_columns = ceil_div(columns, task_columns) * task_columns
                tiling = (padded_rows, padded_columns, task_rows, task_columns, vectors, high, wide)
                candidates.append(WinogradPlan(*tiling, by_channels=False))
                if task_rows == rows and parts == 1:
                    candidates.append(WinogradPlan(*tiling, by_channels=True))
    return candidates


def _register_tiles(blocks: int, rows: int, columns: int, cpu: CpuModel) -> list[tuple[int, int, int]]:
    """Return the (vectors, high, wide) that fit the registers: several rows only where a row is short."""
    tiles = []
    for vectors in (count for count in divisors(blocks) if count <= MAX_VECTORS):
        # Widths that round the row up to the same count differ only in cost: the widest is best.
        widths = {ceil_div(columns, count) for count in range(1, columns + 1)}
        tiles += [(vectors, 1, wide) for wide in sorted(widths) if fits_registers(vectors, wide, cpu)][-3:]
        heights = [high for high in divisors(rows) if high > 1 and fits_registers(vectors, high * columns, cpu)]
        tiles += [(vectors, high, columns) for high in heights[-1:]]
    return tiles


def plans_by_cost(shape: ConvShape, cpu: CpuModel) -> list[WinogradPlan]:
    """Return the tilings, cheapest by estimate first."""
    return sorted(dict.fromkeys(tilings(shape, cpu)), key=lambda tiling: winograd_cycles(shape, tiling, cpu))


def may_pay(shape: ConvShape, cpu: CpuModel, network: Network | None) -> bool:
    """Return whether it could be worth its size in `network` if it saved more than estimated."""
    return network is None or affordable(shape, SAVED_AT_BEST * direct_cycles(shape, cpu), network)
