"""Functions in LLVM's language for a kernel to call: LLVM inlines them."""

from __future__ import annotations

from tvm import ir, s_tir, tirx


def with_source(function: tirx.PrimFunc, text: str) -> tirx.PrimFunc:
    """Return `function`, whose body is a block as schedules leave it, with what `text` defines."""
    realize, root = function.body, function.body.block
    body = tirx.AttrStmt(ir.StringImm("edgec"), "pragma_import_llvm", ir.StringImm(text), root.body)
    # Inside the block: some of TVM's passes expect it to be the whole of a function.
    block = s_tir.SBlock(
        *(root.iter_vars, root.reads, root.writes, root.name_hint, body, root.init),
        *(root.alloc_buffers, root.match_buffers, root.annotations),
    )
    return function.with_body(s_tir.SBlockRealize(realize.iter_values, realize.predicate, block))
