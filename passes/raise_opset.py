"""Raises older models to opset 18, so that every later step sees only one form of each operator."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import opset
from edgec.passes.base import Pass, PassReport
from edgec.passes.opset_adapters import ADAPTERS

CANONICAL_OPSET = 18
"""First operator set in which all reductions take their axes as input, which is the last change of form among the
operators of vision networks: newer models stay as they are. It also has HardSwish (14) and LayerNormalization (17)."""

CANONICAL_IR_VERSION = 8
"""File format that belongs to opset 18."""


class RaiseOpset(Pass):
    """Rewrite the nodes of a model of opset 7 to 17 for opset 18; the loader has inlined its functions before.

    It has its own adapters because `onnx.version_converter` uses a second graph format, drops node names, refuses
    models with subgraphs, and turns Upsample of scale 3 into a Resize that rounds differently.
    """

    name = "raise_opset"
    tolerance = 1e-6

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return the model in opset 18 or, if it is newer, unchanged.

        Raises:
            UnsupportedModel: A node has no equivalent in opset 18; the message names node and operator.
        """
        old = opset(model)
        if old >= CANONICAL_OPSET:
            return PassReport(model, False)
        for node in list(model.graph.all_nodes()):
            if node.domain == "" and node.graph is not None:
                _raise(node, old)
        for graph in (model.graph, *model.graph.subgraphs()):
            if "" in graph.opset_imports or graph is model.graph:
                graph.opset_imports[""] = CANONICAL_OPSET
        model.ir_version = max(model.ir_version, CANONICAL_IR_VERSION)
        return PassReport(model, True, (f"opset {old} raised to {CANONICAL_OPSET}",))


def _raise(node: ir.Node, old: int) -> None:
    for since, adapt in ADAPTERS.get(node.op_type, ()):
        if old < since:
            node = adapt(node)
    _check(node, old)


def _check(node: ir.Node, old: int) -> None:
    """Raise an error for a node whose operator, attributes or number of inputs opset 18 does not support."""
    try:
        schema = onnx.defs.get_schema(node.op_type, CANONICAL_OPSET, "")
    except onnx.defs.SchemaError:
        schema = None
    if schema is None or schema.deprecated:
        problem = "the operator does not exist there"
    elif unknown := sorted(set(node.attributes) - set(schema.attributes)):
        problem = f"it has no attribute {unknown[0]!r} there"
    elif not schema.min_input <= len(node.inputs) <= schema.max_input:
        problem = f"it takes {schema.min_input} to {schema.max_input} inputs there, not {len(node.inputs)}"
    else:
        return
    raise UnsupportedModel(
        f"node {node.name or node.outputs[0].name!r} ({node.op_type}, opset {old}) cannot be raised to opset "
        f"{CANONICAL_OPSET}: {problem}",
        remedy="Export the model with opset 13 or newer.",
    )
