"""Writes FP16 into the model, for TensorRT versions that take types from it (TensorRT for RTX; TensorRT 11)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.model.graph import add_constant, constant, opset, unique_name
from edgec.model.infer import infer_shapes
from edgec.model.traits import QUANTIZERS
from edgec.targets.tensorrt.limits import schema

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
HALF_TYPE = "tensor(float16)"


def to_half(model: ir.Model, kept: Collection[str]) -> ir.Model:
    """Return a copy of `model` that computes in FP16; inputs and outputs keep their types.

    Nodes stay in FP32 if their name is in `kept`, if they quantize or contain graphs, or if their operator has no FP16;
    Casts are inserted between both kinds.

    Args:
        model: Model with static shapes and known types.
        kept: Names of nodes that stay in FP32.
    """
    half = model.clone()
    _Converter(half).convert(kept)
    RemoveUnusedNodesPass()(half)  # the weights in FP32
    infer_shapes(half)
    return half


class _Converter:
    def __init__(self, model: ir.Model) -> None:
        self.graph, self.opset = model.graph, opset(model)
        self.casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def convert(self, kept: Collection[str]) -> None:
        native = {output for node in self.graph for output in node.outputs if output.dtype == HALF}
        native |= {value for value in self.graph.inputs if value.dtype == HALF}
        nodes = list(self.graph)
        for value in [value for value in self.graph.outputs if value.dtype == FLOAT and value.producer() is not None]:
            self._shield(value)
        for node in nodes:
            convertible = node.name not in kept and node.op_type not in QUANTIZERS and not _holds_graph(node)
            inputs, outputs = self._formals(node) if convertible else (set(), set())
            for index, read in enumerate(node.inputs):
                if read is not None and read.dtype in (FLOAT, HALF) and read not in native:
                    node.replace_input_with(index, self._cast(node, read, HALF if index in inputs else FLOAT))
            for index in outputs:
                node.outputs[index].type = ir.TensorType(HALF)

    def _formals(self, node: ir.Node) -> tuple[set[int], set[int]]:
        """Return which FP32 inputs and outputs of `node` can be FP16; none if an output's type is not an input's."""
        definition = schema(node.op_type, self.opset)
        if definition is None or node.domain not in ("", "ai.onnx"):
            return set(), set()
        inputs = {
            index: definition.inputs[min(index, len(definition.inputs) - 1)]
            for index, value in enumerate(node.inputs)
            if value is not None and value.dtype in (FLOAT, HALF)
        }
        outputs = {
            index: definition.outputs[min(index, len(definition.outputs) - 1)]
            for index, value in enumerate(node.outputs)
            if value.dtype == FLOAT
        }
        able = {formal.type_str for formal in inputs.values() if HALF_TYPE in formal.types}
        if not all(formal.type_str in able for formal in outputs.values()):
            return set(), set()
        return {index for index, formal in inputs.items() if formal.type_str in able}, set(outputs)

    def _cast(self, node: ir.Node, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        if value.dtype == wanted:
            return value
        if (value, wanted) not in self.casts:
            held = constant(value)
            if held is not None:
                with np.errstate(over="ignore"):
                    array = held.astype(np.float16 if wanted == HALF else np.float32)
                made = add_constant(self.graph, f"{value.name}_{wanted.name.lower()}", array)
            else:
                name = unique_name(self.graph, f"{value.name}_{wanted.name.lower()}")
                cast = ir.node("Cast", [value], {"to": int(wanted)}, name=name)
                made = cast.outputs[0]
                made.name, made.type, made.shape = name, ir.TensorType(wanted), value.shape
                self.graph.insert_before(node, cast)
            self.casts[value, wanted] = made
        return self.casts[value, wanted]

    def _shield(self, value: ir.Value) -> None:
        """Insert a Cast to FP32 after the output `value`, which takes over its name."""
        name = value.name or ""
        cast = ir.node("Cast", [value], {"to": int(FLOAT)}, name=unique_name(self.graph, f"{name}_out"))
        outer = cast.outputs[0]
        outer.type, outer.shape = ir.TensorType(FLOAT), value.shape
        value.name = unique_name(self.graph, f"{name}_inner")
        outer.name = name
        self.graph.outputs[list(self.graph.outputs).index(value)] = outer
        self.graph.append(cast)


def _holds_graph(node: ir.Node) -> bool:
    return any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values())
