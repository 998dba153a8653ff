"""Matrix product: a pointwise convolution whose pixels are rows; weights are packed beforehand, activations later."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule, Tuning, Workload
from edgec.targets.tvm.schedules.common.kernel import f32, find_block, finish, floordiv, floormod, padded_stage, widened
from edgec.targets.tvm.schedules.common.plain_expression import PlainExpression, fits_matrix, matrix_of, unravel
from edgec.targets.tvm.schedules.common.tiles import ConvTile, conv_tile
from edgec.targets.tvm.schedules.common.tilings import register_tiles


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` is a float product of matrices of known shape."""
    if node.op != "relax.matmul" or node.dtype != "float32" or node.shape is None:
        return False
    left, right = node.args
    known = all(len(_shape(arg) or ()) >= 2 and arg.dtype == "float32" for arg in (left, right))
    return known and math.prod(node.shape) > 0


def _shape(arg: Any) -> tuple[int, ...] | None:
    return arg.shape if isinstance(arg, (Node, np.ndarray)) else None


def pack_dense(weights: Array, vectors: int, block: int) -> Array:
    """Return [K, N] as [N/(vectors*block), K, vectors, block], columns padded with zeros."""
    depth, columns = weights.shape
    blocks = ceil_div(columns, vectors * block) * vectors
    padded = np.zeros((depth, blocks * block), np.float32)
    padded[:, :columns] = weights
    return np.ascontiguousarray(padded.reshape(depth, blocks // vectors, vectors, block).transpose(1, 0, 2, 3))


@dataclass(frozen=True)
class Product:
    """Extents: `batch` products [rows, depth] x [depth, columns]; `batch` is 1 if all share the right operand."""

    batch: int
    rows: int
    depth: int
    columns: int
    shared: bool


def product_of(node: Node) -> Product:
    """Return the extents of a matrix product."""
    left, right = node.args
    assert node.shape is not None
    shared = len(right.shape) == 2
    batch = 1 if shared else math.prod(node.shape[:-2])
    rows = matrix_of(node.shape)[0] if shared else node.shape[-2]
    return Product(batch, rows, left.shape[-1], node.shape[-1], shared)


def plan_by_rule(product: Product, cpu: CpuModel) -> ConvTile:
    """Return the default register tile."""
    block = block_of(product.columns, cpu)
    return conv_tile(ceil_div(product.columns, block), product.rows, block, cpu)


def lower(region: Region, cpu: CpuModel, tile: ConvTile | None = None) -> Kernel:
    """Return the kernel of a matrix product region, with the register tile `tile`, by default the rule's."""
    node = region.anchor
    left, right = node.args
    assert node.shape is not None
    product = product_of(node)
    batch, rows, depth, columns, shared = astuple(product)
    tile = tile or plan_by_rule(product, cpu)
    block = block_of(columns, cpu)
    blocks = ceil_div(ceil_div(columns, block), tile.vectors) * tile.vectors
    padded_rows = ceil_div(rows, tile.pixels) * tile.pixels

    source = te.placeholder(left.shape, name="source")
    lead = node.shape[:-1] if shared else node.shape[:-2]

    def read_left(b: Any, m: Any, k: Any) -> Any:
        index = unravel(m, (*lead, 1)) if shared else (*unravel(b, (*lead, 1)), m)
        return source[(*_aligned(index, left.shape[:-1]), k)].astype(cpu.arithmetic)

    stage, read = None, read_left
    if padded_rows != rows or cpu.arithmetic != "float32":
        stage = padded_stage(
            source, (batch, padded_rows, depth), (0, 0, 0), 0.0, read_left, (batch, rows, depth), "padded"
        )
        read = stage
    weights, weight_operand, packed = _weights(right, lead, tile, block, depth, columns, batch, cpu, constant=shared)
    k = te.reduce_axis((0, depth), "k")
    vectors = tile.vectors
    conv = te.compute(
        (batch, blocks, padded_rows, block),
        lambda b, n, m, i: te.sum(
            read(b, m, k)
            * packed[0 if packed.shape[0] == 1 else b, floordiv(n, vectors), k, floormod(n, vectors), i].astype(
                cpu.arithmetic
            ),
            axis=k,
        ),
        name="conv",
    )
    expression = PlainExpression(region.members)
    tail = region.tail
    assert tail.shape is not None

    def value(b: Any, m: Any, n: Any) -> Any:
        anchor = widened(conv[b, floordiv(n, block), m, floormod(n, block)])
        return expression.at(tail, b * rows + m, n, {id(node): lambda _row, _column: anchor})

    out = te.compute((batch, rows, columns), value, name="out")
    tensors = [source, weights, *expression.tensors, out]
    sch = schedule(Schedule(te.create_prim_func(tensors)), tile, math.gcd(columns, block))
    tail_shape = tail.shape
    sch.transform_layout(sch.get_sblock("out"), "out", lambda b, m, n: (*unravel(b * rows + m, tail_shape), n))
    operands = [_operand(left), weight_operand, *expression.operands]
    detail = f"{tile.vectors}x{tile.pixels}"
    return Kernel(finish(sch), operands, tail_shape, detail=detail)


def _aligned(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the index into a tensor with leading `shape` that corresponds to the broadcast `index`."""
    index = index[len(index) - len(shape) :]
    return tuple(0 if extent == 1 else at for at, extent in zip(index, shape, strict=True))


def _weights(
    right: Any,
    lead: tuple[int, ...],
    tile: ConvTile,
    block: int,
    depth: int,
    columns: int,
    batch: int,
    cpu: CpuModel,
    *,
    constant: bool,
) -> tuple[te.Tensor, Operand, te.Tensor]:
    """Return the parameter, its operand, and the stage [batch or 1, N/(vectors*block), K, vectors, block] to read."""
    groups = ceil_div(columns, tile.vectors * block)
    if constant and isinstance(right, np.ndarray):
        values = pack_dense(right, tile.vectors, block)[None].astype(cpu.storage)
        tensor = te.placeholder(values.shape, cpu.storage, name="weights")
        return tensor, Operand(values), tensor
    tensor = te.placeholder(right.shape, name="weights")

    def element(b: Any, group: Any, k: Any, v: Any, i: Any) -> Any:
        n = (group * tile.vectors + v) * block + i
        item = (
            tensor[(*_aligned((*unravel(b, (*lead, 1)), k), tuple(right.shape[:-1])), n)]
            if not constant
            else tensor[k, n]
        )
        if columns % (tile.vectors * block):
            item = tirx.if_then_else(n < columns, item, f32(0.0))
        return item.astype(cpu.arithmetic)

    packed = te.compute((1 if constant else batch, groups, depth, tile.vectors, block), element, name="packed_weights")
    return tensor, _operand(right), packed


def _operand(arg: Node | Array) -> Operand:
    return Operand(np.ascontiguousarray(arg) if isinstance(arg, np.ndarray) else arg)


def schedule(sch: Schedule, tile: ConvTile, store_lanes: int) -> Schedule:
    """Schedule tasks of (batch, group of vectors, rows): the weights of a group stay in the cache over the rows."""
    conv, out, pad, pack = (
        sch.get_sblock("conv"),
        sch.get_sblock("out"),
        find_block(sch, "padded"),
        find_block(sch, "packed_weights"),
    )
    b, n, m, lane, k = sch.get_loops(conv)
    no, ni = sch.split(n, [None, tile.vectors])
    mo, mi = sch.split(m, [None, tile.pixels])
    sch.reorder(b, no, mo, k, mi, ni, lane)
    task = sch.fuse(b, no) if pack is not None else sch.fuse(b, no, mo)
    sch.parallel(task)
    at = mo if pack is not None else task
    sch.reverse_compute_at(out, at, preserve_unit_loops=True)
    loops = sch.get_loops(out)[-3:]
    if store_lanes > 1:
        outer, inner = sch.split(loops[-1], [None, store_lanes])
        sch.vectorize(inner)
        sch.unroll(outer)
        for loop in loops[:-1]:
            sch.unroll(loop)
    sch.vectorize(lane)
    sch.unroll(mi)
    sch.unroll(ni)
    for copy in (pad, pack):
        if copy is None:
            continue
        if copy is pack:
            sch.compute_at(copy, task, preserve_unit_loops=True)
        last = sch.get_loops(copy)[-1]
        extent = int(sch.get(last).extent)
        if copy is pad:
            whole = math.gcd(extent, 16)
            _, last = sch.split(last, [None, whole])
        sch.vectorize(last)
    sch.decompose_reduction(conv, k)
    return sch


def workload(region: Region) -> Workload:
    """Return the workload of a matrix product."""
    product, (left, right) = product_of(region.anchor), region.anchor.args
    constant = "" if isinstance(left, Node) else " constant left"
    constant += "" if isinstance(right, Node) else " constant"
    sizes = f"{product.batch}x{product.rows}x{product.depth} by {product.depth}x{product.columns}"
    macs = product.batch * product.rows * product.depth * product.columns
    return Workload(f"matmul {sizes}{constant}{region.followers()}", macs)


def plans(node: Node, cpu: CpuModel) -> list[ConvTile]:
    """Return the register tiles of a matrix product: the default, then the others by estimated cost."""
    product = product_of(node)
    block = block_of(product.columns, cpu)
    others = register_tiles(ceil_div(product.columns, block), product.rows, block, cpu)
    return [plan_by_rule(product, cpu), *others]


RULE = Rule("matmul", "plain", match, lower, fits=fits_matrix, tuning=Tuning(workload, plans, lower))
