"""Windows over each channel separately, for depthwise convolutions and pools; one vector of channels wide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import Convolution, Pool
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.schedules.common.kernel import copy_rows, find_block, floordiv, floormod, padded_stage
from edgec.targets.tvm.schedules.common.slabs import slab_rows
from edgec.targets.tvm.schedules.common.tiles import depthwise_pixels

FLOAT_BYTES = 4
MAX_UNROLLED_TAPS = 64


@dataclass(frozen=True)
class WindowPlan:
    """The tiling: number of pixels in registers, output rows per task (None: as many as keep its slab in L1)."""

    pixels: int
    rows: int | None = None


def plan_by_rule(node: Node, window: Sequence[int], cpu: CpuModel) -> WindowPlan:
    """Return the default tiling of a `window`."""
    assert node.shape is not None
    return WindowPlan(depthwise_pixels(node.shape[3], math.prod(window), cpu))


class Window:
    """The input of a windowed reduction: its padded stage, the extents of the reduction and how to read it."""

    def __init__(
        self,
        node: Node,
        cpu: CpuModel,
        layer: Convolution | Pool,
        pixels: int,
        window: Sequence[int],
        *,
        dilation: Sequence[int] = (1, 1),
        filling: float = 0.0,
    ) -> None:
        assert node.shape is not None
        plain = node.args[0].shape
        block = block_of(plain[1], cpu)
        out_height, out_width = node.shape[2:]
        (top, left), strides = layer.padding[:2], layer.strides
        self.strides, self.dilation = strides, dilation
        columns = ceil_div(out_width, pixels) * pixels
        height = (out_height - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1
        width = (columns - 1) * strides[1] + (window[1] - 1) * dilation[1] + 1
        self.source = te.placeholder(packed_shape(plain, block), cpu.stored(node.args[0].dtype), name="source")
        self.stage = self.source
        read = self.source
        if isinstance(layer, Convolution) and layer.shuffle is not None:
            read = _shuffled(self.source, plain[1], layer.shuffle, block)
        if any(layer.padding) or read is not self.source or height > plain[2] or width > plain[3]:
            lead = [int(extent) for extent in self.source.shape[:2]]
            extents, before = packed_shape(plain, block), (0, 0, top, left, 0)
            self.stage = padded_stage(
                self.source, (*lead, height, width, block), before, filling, read=read, extents=extents
            )
        self.shape = (plain[0], ceil_div(plain[1], block), out_height, columns, block)

    def read(self, n: Any, c: Any, h: Any, w: Any, b: Any, r: Any, s: Any) -> Any:
        """Return the element of the window of output (n, c, h, w, b) at row `r` and column `s`."""
        (sh, sw), (dh, dw) = self.strides, self.dilation
        return self.stage[n, c, h * sh + r * dh, w * sw + s * dw, b]


def _shuffled(source: te.Tensor, channels: int, groups: int, block: int) -> Callable[..., Any]:
    """Return how to read a packed tensor whose channels are shuffled between `groups` groups."""

    def read(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        channel = c * block + b
        origin = floormod(channel, groups) * (channels // groups) + floordiv(channel, groups)
        # Padding lanes of the last block must stay inside the tensor.
        origin = tirx.min(origin, channels - 1) if channels % block else origin
        return source[n, floordiv(origin, block), h, w, floormod(origin, block)]

    return read


def schedule(sch: Schedule, plan: WindowPlan, cpu: CpuModel) -> Schedule:
    """Schedule tasks of (batch, channel block, rows), each with a padded slab that stays in L1."""
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "padded")
    n, c, h, w, b, r, s = sch.get_loops(conv)
    taps = int(sch.get(r).extent) * int(sch.get(s).extent)
    ho, hi = sch.split(h, [None, plan.rows or slab_rows(sch, h, pad, FLOAT_BYTES, cpu)])
    wo, wi = sch.split(w, [None, plan.pixels])
    sch.reorder(n, c, ho, hi, wo, r, s, wi, b)
    task = sch.fuse(n, c, ho)
    sch.parallel(task)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    *inner, lane = sch.get_loops(out)[-5:]
    sch.vectorize(lane)
    for loop in (*inner, wi):
        sch.unroll(loop)
    sch.vectorize(b)
    if taps <= MAX_UNROLLED_TAPS:
        sch.unroll(r)
        sch.unroll(s)
    if pad is not None:
        sch.compute_at(pad, task, preserve_unit_loops=True)
        copy_rows(sch, pad)
    init = sch.decompose_reduction(conv, r)
    for loop in sch.get_loops(init)[-2:-1]:
        sch.unroll(loop)
    return sch
