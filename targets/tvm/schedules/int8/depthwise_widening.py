"""Integer depthwise convolution on NEON: inputs are widened to int16 once, with the padding, and multiplied to int32.

One multiply-add is four channels of a pixel times one tap; a dot product would first have to make the bytes of four
pixels adjacent for each channel, which takes longer than it saves.
"""

from __future__ import annotations

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div, packed_shape
from edgec.targets.tvm.regions.facts import Array, IntegerConvolution
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import copy_rows, finish, padded_stage
from edgec.targets.tvm.schedules.common.slabs import slab_rows
from edgec.targets.tvm.schedules.common.tiles import depthwise_pixels
from edgec.targets.tvm.schedules.int8 import depthwise as depthwise_int8
from edgec.targets.tvm.schedules.int8.epilogue import Epilogue
from edgec.targets.tvm.schedules.int8.loops import store_tile, vectorize_tile

STORED_PIXELS = 4
MAX_UNROLLED_TAPS = 25
INT16_BYTES = 2


def match(node: Node, cpu: CpuModel) -> bool:
    """Return whether `node` is an integer convolution with one filter per channel, for a CPU of this kind."""
    return cpu.isa == "neon" and depthwise_int8.match(node, cpu)


def pack_weights(weights: Array, block: int) -> Array:
    """Return int8 [C, 1, R, S] as int16 [C/block, R, S, block], padded with zeros."""
    channels, _, rows, columns = weights.shape
    blocks = ceil_div(channels, block)
    full = np.zeros((blocks * block, rows, columns), np.int16)
    full[:channels] = weights[:, 0]
    return np.ascontiguousarray(full.reshape(blocks, block, rows, columns).transpose(0, 2, 3, 1))


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer depthwise convolution region."""
    node = region.anchor
    assert node.shape is not None
    plain, (out_height, out_width) = node.args[0].shape, node.shape[2:]
    layer = node.known(IntegerConvolution)
    block, (sh, sw), (dh, dw) = block_of(plain[1], cpu), layer.strides, layer.dilation
    packed = pack_weights(layer.weights, block)
    blocks, rows, taps = packed.shape[:3]
    pixels = depthwise_pixels(out_width, rows * taps, cpu)
    columns = ceil_div(out_width, pixels) * pixels

    source = te.placeholder(packed_shape(plain, block), cpu.byte_type, name="source")
    weights = te.placeholder(packed.shape, "int16", name="weights")
    extents = (plain[0], blocks, (out_height - 1) * sh + (rows - 1) * dh + 1, (columns - 1) * sw + (taps - 1) * dw + 1)
    zero = tirx.const(layer.scaling.zero_point, "int16")
    before = (0, 0, *layer.padding[:2], 0)
    given = tuple(int(extent) for extent in source.shape)
    stage = padded_stage(
        source, (*extents, block), before, zero, lambda *index: source(*index).astype("int16"), extents=given
    )
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, taps), "s")
    conv = te.compute(
        (plain[0], blocks, out_height, columns, block),
        lambda n, c, h, w, b: te.sum(
            stage[n, c, h * sh + r * dh, w * sw + s * dw, b].astype("int32") * weights[c, r, s, b].astype("int32"),
            axis=[r, s],
        ),
        name="conv",
    )
    epilogue = Epilogue(region, plain[1], cpu)
    out = te.compute(
        packed_shape(epilogue.expression.shape, block), lambda *index: epilogue.at(index, conv(*index)), name="out"
    )
    sch = Schedule(te.create_prim_func([source, weights, *epilogue.tensors, out]))
    whole = columns == out_width and pixels % STORED_PIXELS == 0
    schedule(sch, pixels, cpu, stored=STORED_PIXELS if whole else 1)
    operands = [Operand(node.args[0], packed=True), Operand(packed), *epilogue.operands]
    return Kernel(finish(sch), operands, epilogue.expression.shape)


def schedule(sch: Schedule, pixels: int, cpu: CpuModel, *, stored: int) -> None:
    """Schedule tasks of (batch, channel block, rows), each with a padded slab that stays in L1."""
    conv, out, pad = (sch.get_sblock(name) for name in ("conv", "out", "padded"))
    n, c, h, w, b, r, s = sch.get_loops(conv)
    taps = int(sch.get(r).extent) * int(sch.get(s).extent)
    ho, hi = sch.split(h, [None, slab_rows(sch, h, pad, INT16_BYTES, cpu)])
    wo, wi = sch.split(w, [None, pixels])
    sch.reorder(n, c, ho, hi, wo, r, s, wi, b)
    task = sch.fuse(n, c, ho)
    sch.parallel(task)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    store_tile(sch, out, stored)
    for loop in (wi, s, *((r,) if taps <= MAX_UNROLLED_TAPS else ())):
        sch.unroll(loop)
    sch.vectorize(b)
    sch.compute_at(pad, task, preserve_unit_loops=True)
    copy_rows(sch, pad)
    vectorize_tile(sch, sch.decompose_reduction(conv, r), 2)


RULE = Rule("depthwise_widening", "packed", match, lower)
