"""Kernels that respect a tensor's byte offset: TVM's require it to be zero, which rules out tensors in an arena."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx

PIPELINE = "edgec"
DATA, BYTE_OFFSET = 1, 8
"""Fields of a DLTensor as `tvm_struct_get` numbers them."""
STRUCT_GET = "tirx.tvm_struct_get"


def lower_offsets() -> tvm.transform.Pass:
    """Return the pass, for after `MakePackedAPI`: adds the byte offset to the data pointer where arguments are read.

    Handwritten kernels (a running sum, a sort) add a tensor's offset to their indices, so it must become zero there.
    """

    def run(function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tirx.PrimFunc:
        def shifted(call: tvm.ir.Call) -> Any:
            if _reads(call, BYTE_OFFSET):
                return tirx.const(0, str(call.ty.dtype))
            if not _reads(call, DATA):
                return call
            offset = tirx.call_intrin("uint64", STRUCT_GET, call.args[0], 0, BYTE_OFFSET)
            return tirx.call_intrin(call.ty, "tirx.handle_add_byte_offset", call, offset)

        def unchecked(statement: tirx.AssertStmt) -> Any:
            condition = statement.condition
            sides = (condition.a, condition.b) if isinstance(condition, tirx.EQ) else ()
            compared = any(_reads(side, BYTE_OFFSET) for side in sides)
            return tirx.Evaluate(0) if compared else statement

        body = tvm_ffi.structural_map(function.body, ((tvm.ir.Call, shifted), (tirx.AssertStmt, unchecked)))
        return function.with_body(body)

    return tirx.transform.prim_func_pass(run, opt_level=0, name="edgec.lower_offsets")


def _reads(value: Any, field: int) -> bool:
    if not isinstance(value, tvm.ir.Call) or not isinstance(value.op, tvm.ir.Op) or value.op.name != STRUCT_GET:
        return False
    return int(value.args[2]) == field


def without_pragmas() -> tvm.transform.Pass:
    """Return the pass that removes `pragma_scope`, with which topi groups statements: TVM's LLVM warns about it."""

    def run(function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tirx.PrimFunc:
        def plain(statement: tirx.AttrStmt) -> Any:
            return statement.body if statement.attr_key == "pragma_scope" else statement

        return function.with_body(tvm_ffi.structural_map(function.body, (tirx.AttrStmt, plain)))

    return tirx.transform.prim_func_pass(run, opt_level=0, name="edgec.without_pragmas")


def _pipeline() -> tuple[tvm.transform.Pass, tvm.transform.Pass, tvm.transform.Pass]:
    lower, host, device = s_tir.pipeline.default_s_tir_pipeline()
    return tvm.transform.Sequential([lower, lower_offsets(), without_pragmas()]), host, device


tirx.register_tir_pipeline(PIPELINE, _pipeline)
