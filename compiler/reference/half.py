"""`in_half`: the network as computed by a program that stores weights and feature maps in half precision."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import insert_behind
from edgec.model.graph import FreshNames, add_constant, constant

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
PICTURE_RANK = 4


def in_half(model: ir.Model) -> ir.Model:
    """Return a copy of `model` whose weights and computed values of four axes are rounded to half precision.

    Sums are kept in single precision.
    """
    rounded = model.clone()
    graph, fresh = rounded.graph, FreshNames(rounded.graph)
    for node in list(graph):
        if node.domain:
            continue
        if node.op_type in PRODUCTS:
            _round_weights(graph, node)
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT and len(value.shape or ()) == PICTURE_RANK:
                _round(value, fresh)
    return rounded


def _round_weights(graph: ir.Graph, node: ir.Node) -> None:
    weights = node.inputs[1]
    array = constant(weights)
    if weights is not None and array is not None and array.dtype == np.float32:
        with np.errstate(over="ignore"):
            halves = array.astype(np.float16).astype(np.float32)
        node.replace_input_with(1, add_constant(graph, f"{weights.name}_half", halves))


def _round(value: ir.Value, fresh: FreshNames) -> None:
    narrow = ir.node("Cast", [value], {"to": ir.DataType.FLOAT16}, name=fresh(f"{value.name}_narrow"))
    wide = ir.node("Cast", [narrow.outputs[0]], {"to": ir.DataType.FLOAT}, name=fresh(f"{value.name}_wide"))
    narrow.outputs[0].name = fresh(f"{narrow.name}_out")
    insert_behind(value, [narrow, wide], fresh(f"{value.name}_single"))
