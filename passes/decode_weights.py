"""`DecodeWeights`: weights stored in few bits, written as back ends take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of
from edgec.model.graph import add_constant, constant, is_fixed, is_quantized
from edgec.model.traits import QUANTIZERS
from edgec.passes.base import Pass, PassReport
from edgec.passes.canonicalize.constants import fold_node

NARROW = {
    ir.DataType.INT4: np.int8,
    ir.DataType.UINT4: np.uint8,
    ir.DataType.INT2: np.int8,
    ir.DataType.UINT2: np.uint8,
}
"""Types of less than a byte, and the type of a byte that holds their values."""


class DecodeWeights(Pass):
    """Where activations are quantized too, weights of less than eight bits become bytes, which integer kernels take.

    Where activations are in float, so are the layers, and the weights are decoded: they save space in the file alone.
    """

    name = "decode_weights"
    tolerance = 0.0

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return the model without weights of less than eight bits."""
        stored = [node for node in model.graph.all_nodes() if node.op_type in QUANTIZERS and is_fixed(node.inputs[0])]
        if is_quantized(model):
            narrow = [node for node in stored if node.inputs[0] is not None and node.inputs[0].dtype in NARROW]
            for node in narrow:
                _widen(node)
            return _report(model, narrow, "weights of less than 8 bits are written as bytes, with the same values")
        decoded = [node for node in stored if fold_node(node, model)]
        return _report(model, decoded, "weights stored as integers are decoded: their layers compute in float")


def _report(model: ir.Model, changed: Sequence[ir.Node], what: str) -> PassReport:
    return PassReport(model, bool(changed), (f"{len(changed)} {what}",) if changed else ())


def _widen(node: ir.Node) -> None:
    """Replace the constants of less than a byte that `node` reads: the weights and their zero point."""
    for index in (0, 2):
        value = node.inputs[index] if index < len(node.inputs) else None
        array = constant(value)
        if value is not None and array is not None and value.dtype in NARROW:
            wide = array.astype(NARROW[value.dtype])
            node.replace_input_with(index, add_constant(graph_of(node), f"{value.name}_wide", wide))
