"""Memory of a network's values: one arena, in which concatenations and slices of channels need no copy.

TVM's own planner (`StaticPlanBlockMemory`) reuses whole storages; here every tensor that only our kernels access gets a
place in one arena. A kernel that only concatenates tensors, or takes a slice, contiguous in memory, says so in an
attribute: the plan places the parts inside the whole, and the kernel is not called at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, tirx

from edgec.targets.tvm.memory_plan import Lifetime, place
from edgec.targets.tvm.memory_views import Block, View, in_place

JOINS = "edgec.joins"
"""Attribute of a function that copies its inputs end to end into its output: their offsets there, in bytes."""
SLICES = "edgec.slices"
"""Attribute of a function whose output is a contiguous part of its input: the offset of that part, in bytes."""
ARENA_ALIGNMENT = 64
"""Alignment in bytes that TVM's code generator assumes of a tensor's address."""


@dataclass
class _Survey:
    """The tensors of a function: the block behind each variable, and the calls that could be views."""

    blocks: dict[Any, Block] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)

    def block_of(self, value: Any) -> Block | None:
        return self.blocks.get(value) if isinstance(value, relax.Var) else None

    def pin(self, value: Any) -> None:
        """Leave the memory of every variable in `value` to TVM's planner."""

        def visit(var: relax.Var) -> None:
            if var in self.blocks:
                self.blocks[var].pinned = True

        tvm_ffi.structural_walk(value, (relax.Var, visit))


def plan_memory(alignment: int = ARENA_ALIGNMENT) -> tvm.transform.Pass:
    """Return the pass; it goes after `CallTIRRewrite`, and needs the kernels of `offsets.lower_offsets`.

    Args:
        alignment: In bytes; a concatenation or slice needs no copy only if its parts begin at multiples of it.
    """

    def run(mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        for variable, function in list(mod.functions_items()):
            if isinstance(function, relax.Function) and isinstance(function.body, relax.SeqExpr):
                mod[variable] = _planned(mod, function, alignment)
        return mod

    return tvm.transform.module_pass(run, opt_level=0, name="edgec.plan_memory")


def allocated(mod: tvm.IRModule) -> int:
    """Return the bytes that function `main` of a module ready for the executor allocates: arena, outputs, the rest."""
    bindings = [binding for block in mod["main"].body.blocks for binding in block.bindings]
    values = [binding.value for binding in bindings if isinstance(binding, relax.VarBinding)]
    storages = [value for value in values if _operator(value) == "relax.vm.alloc_storage"]
    return sum(int(storage.args[0].values[0]) for storage in storages)


def _planned(mod: tvm.IRModule, function: relax.Function, alignment: int) -> relax.Function:
    bindings = [binding for block in function.body.blocks for binding in block.bindings]
    survey = _surveyed(mod, function, bindings)
    blocks = list({id(block): block for block in survey.blocks.values()}.values())
    dropped = in_place(blocks, survey.views, alignment)
    roots = list({id(root): root for root in (block.root()[0] for block in blocks) if not root.pinned}.values())
    roots = [root for root in roots if root.first >= 0]
    if not roots:
        return function
    offsets, total = place([Lifetime(root.size, root.first, root.last) for root in roots], ARENA_ALIGNMENT)
    offset_of = {id(root): offset for root, offset in zip(roots, offsets, strict=True)}
    arena = relax.Var("arena", relax.AnyType())
    storage = relax.op.memory.alloc_storage(relax.ShapeExpr([total]), 0, "global", "uint8")
    kept: list[Any] = [relax.VarBinding(arena, storage)]
    for step, binding in enumerate(bindings):
        if step in dropped:
            continue
        block = survey.blocks.get(binding.var) if _is_allocation(binding.value) else None
        root, inside = (None, 0) if block is None else block.root()
        if id(root) not in offset_of:
            kept.append(binding)
            continue
        shape, dtype = binding.value.args[:2]
        tensor = relax.op.memory.alloc_tensor(arena, offset_of[id(root)] + inside, shape, dtype)
        kept.append(relax.VarBinding(binding.var, tensor))
    body = relax.SeqExpr([relax.BindingBlock(kept)], function.body.body)
    return relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)


def _surveyed(mod: tvm.IRModule, function: relax.Function, bindings: list[Any]) -> _Survey:
    survey = _Survey()
    for step, binding in enumerate(bindings):
        value = getattr(binding, "value", None)
        if isinstance(binding, relax.MatchCast) or value is None:
            survey.pin(binding)
        elif isinstance(value, relax.Var):
            if value in survey.blocks:
                survey.blocks[binding.var] = survey.blocks[value]
        elif _is_allocation(value) and (size := _bytes(value)) is not None:
            survey.blocks[binding.var] = Block(size)
        elif _operator(value) == "relax.reshape":
            source = survey.block_of(value.args[0])
            if source is not None:
                survey.blocks[binding.var] = source
        elif isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar):
            _read_call(mod[value.op], value, step, survey)
        else:
            survey.pin(value)
    survey.pin(function.body.body)
    return survey


def _read_call(callee: Any, call: relax.Call, step: int, survey: _Survey) -> None:
    if not isinstance(callee, tirx.PrimFunc):
        survey.pin(call)
        return
    blocks = [survey.block_of(arg) for arg in call.args]
    for block in blocks:
        if block is not None:
            block.touch(step)
    known = [block for block in blocks if block is not None]
    attrs = callee.attrs or {}
    if not known or len(known) < len(blocks):
        return
    *sources, out = known
    if JOINS in attrs:
        survey.views.append(View(step, out, tuple(sources), tuple(int(at) for at in attrs[JOINS])))
    if SLICES in attrs:
        survey.views.append(View(step, sources[0], (out,), (int(attrs[SLICES]),)))


def _operator(value: Any) -> str:
    return value.op.name if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) else ""


def _is_allocation(value: Any) -> bool:
    return _operator(value) == "relax.builtin.alloc_tensor"


def _bytes(call: relax.Call) -> int | None:
    """Return the size of the tensor `call` allocates, rounded up to whole alignments; None if it is not known."""
    extents = call.args[0].values if isinstance(call.args[0], relax.ShapeExpr) else None
    if extents is None or not all(isinstance(extent, (int, tirx.IntImm)) for extent in extents):
        return None
    bits = tvm.DataType(str(call.args[1].value)).bits
    size = math.prod(int(extent) for extent in extents) * max(bits, 8) // 8
    return int(-(-size // ARENA_ALIGNMENT) * ARENA_ALIGNMENT)
