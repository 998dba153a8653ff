"""Integer depthwise convolution: the dot-product instruction sums over four neighbouring pixels of each channel.

Four pixels of a block of channels are one register; a byte shuffle makes the four bytes of a channel adjacent, and one
instruction multiplies them with a row of the filter, padded with zeros to a multiple of four taps.
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
from edgec.targets.tvm.schedules.common.kernel import find_block, finish, padded_stage
from edgec.targets.tvm.schedules.common.slabs import slab_rows
from edgec.targets.tvm.schedules.common.tiles import depthwise_pixels
from edgec.targets.tvm.schedules.int8.dot_product import DEPTH, taps
from edgec.targets.tvm.schedules.int8.epilogue import Epilogue
from edgec.targets.tvm.schedules.int8.loops import vectorize_tile

MAX_UNROLLED_STEPS = 24


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` is an integer convolution with one filter per channel."""
    return isinstance(node.facts, IntegerConvolution) and node.facts.depthwise


def pack_taps(weights: Array, block: int) -> Array:
    """Return int8 [C, 1, R, S] as [C/block, R, S/4, block, 4], padded with zeros."""
    channels, _, rows, columns = weights.shape
    blocks, steps = ceil_div(channels, block), ceil_div(columns, DEPTH)
    full = np.zeros((blocks * block, rows, steps * DEPTH), np.int8)
    full[:channels, :, :columns] = weights[:, 0]
    split = full.reshape(blocks, block, rows, steps, DEPTH)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 1, 4))


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of an integer depthwise convolution region."""
    node = region.anchor
    assert node.shape is not None
    plain, (out_height, out_width) = node.args[0].shape, node.shape[2:]
    layer = node.known(IntegerConvolution)
    block, (sh, sw) = block_of(plain[1], cpu), layer.strides
    packed = pack_taps(layer.weights, block)
    blocks, rows, steps = packed.shape[:3]
    pixels = depthwise_pixels(out_width, rows * steps * DEPTH, cpu)
    columns = ceil_div(out_width, pixels) * pixels

    source = te.placeholder(packed_shape(plain, block), cpu.byte_type, name="source")
    weights = te.placeholder(packed.shape, "int8", name="weights")
    extents = (plain[0], blocks, (out_height - 1) * sh + rows, (columns - 1) * sw + steps * DEPTH, block)
    before = (0, 0, *layer.padding[:2], 0)
    zero = tirx.const(layer.scaling.zero_point, cpu.byte_type)
    stage = padded_stage(source, extents, before, zero)
    r, s = te.reduce_axis((0, rows), "r"), te.reduce_axis((0, steps), "s")
    i = te.reduce_axis((0, DEPTH), "i")
    conv = te.compute(
        (plain[0], blocks, out_height, columns, block),
        lambda n, c, h, w, b: te.sum(
            stage[n, c, h * sh + r, w * sw + s * DEPTH + i, b].astype("int32") * weights[c, r, s, b, i].astype("int32"),
            axis=[r, s, i],
        ),
        name="conv",
    )
    epilogue = Epilogue(region, plain[1], cpu)
    out = te.compute(
        packed_shape(epilogue.expression.shape, block), lambda *index: epilogue.at(index, conv(*index)), name="out"
    )
    sch = Schedule(te.create_prim_func([source, weights, *epilogue.tensors, out]))
    schedule(sch, pixels, taps(cpu, block, packed), cpu)
    operands = [Operand(node.args[0], packed=True), Operand(packed), *epilogue.operands]
    return Kernel(finish(sch), operands, epilogue.expression.shape)


def schedule(sch: Schedule, pixels: int, intrinsic: str, cpu: CpuModel) -> Schedule:
    """Schedule tasks of (batch, channel block, rows), each with a padded slab that stays in L1."""
    conv, out, pad = sch.get_sblock("conv"), sch.get_sblock("out"), find_block(sch, "padded")
    n, c, h, w, b, r, s, i = sch.get_loops(conv)
    steps = int(sch.get(r).extent) * int(sch.get(s).extent)
    ho, hi = sch.split(h, [None, slab_rows(sch, h, pad, 1, cpu)])
    wo, wi = sch.split(w, [None, pixels])
    sch.reorder(n, c, ho, hi, wo, r, s, wi, b, i)
    task = sch.fuse(n, c, ho)
    sch.parallel(task)
    sch.reverse_compute_at(out, wo, preserve_unit_loops=True)
    vectorize_tile(sch, out, 5)
    for loop in (wi, *((r, s) if steps <= MAX_UNROLLED_STEPS else ())):
        sch.unroll(loop)
    sch.compute_at(pad, task, preserve_unit_loops=True)
    sch.vectorize(sch.get_loops(pad)[-1])
    vectorize_tile(sch, sch.decompose_reduction(conv, r), 2)
    sch.tensorize(b, intrinsic)
    return sch


RULE = Rule("depthwise_int8", "packed", match, lower)
