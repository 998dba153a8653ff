"""Placement: the values to quantize, the nodes that read them, and the values that must share one scale."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from edgec.model.graph import attribute, constant, label
from edgec.model.traits import LINEAR, RECURRENT, SELECTIONS

POOLS = frozenset({"AveragePool", "GlobalAveragePool"})
"""Operators that average their input: they are quantized if their input and their output are."""


@dataclass
class Placement:
    """Which values are quantized, by names, so that it also holds for copies of the model.

    Attributes:
        uses: Value -> (node, index of the input) of the nodes that read it quantized; others read the float value.
        groups: Value -> the value whose name stands for all that share its scale.
        layers: Nodes that run on integers.
        refusals: (node, reason) of layers that stay in float.
    """

    uses: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Values to calibrate."""
        return tuple(self.uses)

    def members(self) -> Iterator[tuple[str, ...]]:
        """Yield the values of each group."""
        by_root: dict[str, list[str]] = {}
        for value, root in self.groups.items():
            by_root.setdefault(root, []).append(value)
        yield from (tuple(values) for values in by_root.values())


def place(model: ir.Model, *, exclude: Collection[str] = ()) -> Placement:
    """Decide which values are quantized.

    * Conv, ConvTranspose, Gemm, MatMul: every computed input. A Q/DQ pair is placed where a layer reads, after the
      activation (its clipping is part of the range), never between a layer and its activation, and never at a graph
      output, so that no output of a detector is forced into one scale.
    * Operators that only move data (MaxPool, Reshape, Transpose, Resize nearest, Concat ...) in front of such a place:
      a pair with the same scale is placed in front of them too. A Concat that is also read in float (as a graph output,
      for example) is not included: its inputs keep their own scales.
    * Residual Add whose sum a layer reads: the operand that comes from a layer stays in that layer's accumulator, the
      other one is quantized; if none comes from a layer, both are.
    * Average pools whose input and output are quantized anyway.
    * Sigmoid, HardSwish, Softmax, normalizations: they stay in float, on the accumulator of the layer before.

    Recurrent layers, and layers whose first operand is constant, stay in float.

    Args:
        model: Model in canonical form.
        exclude: Names of layers that stay in float.
    """
    placement = Placement()
    excluded = set(exclude)
    for node in model.graph:
        if not node.domain and node.op_type in RECURRENT:
            placement.refusals.append((label(node), "is recurrent"))
        if node.domain or node.op_type not in LINEAR:
            continue
        reason = "was excluded" if label(node) in excluded else _obstacle(node)
        if reason is not None:
            placement.refusals.append((label(node), reason))
            continue
        placement.layers.append(label(node))
        for index, value in enumerate(node.inputs[:2]):
            if value is not None and constant(value) is None:
                _want(placement, value, node, index)
    for node in reversed(list(model.graph)):
        if not node.domain and node.outputs and node.outputs[0].name in placement.uses:
            _cross(placement, node, {*placement.layers, *excluded})
    return placement


def _obstacle(node: ir.Node) -> str | None:
    values = [value for value in node.inputs if value is not None]
    if any(value.dtype not in (None, ir.DataType.FLOAT) for value in values):
        return "is not float32"
    if any(value.shape is None for value in values[:2]):
        return "has an input of unknown shape"
    if constant(values[0]) is not None:
        return "has a constant in place of a computed input"
    if node.op_type == "Gemm" and attribute(node, "transA", 0):
        return "transposes its input"
    weights = constant(values[1])
    if node.op_type == "MatMul" and weights is not None and weights.ndim != 2:
        return "has weights that are not a matrix"
    return None


def _want(placement: Placement, value: ir.Value, node: ir.Node, index: int) -> None:
    name = value.name or ""
    placement.uses.setdefault(name, set()).add((label(node), index))
    placement.groups.setdefault(name, name)


def _cross(placement: Placement, node: ir.Node, layers: Collection[str]) -> None:
    """Extend the placement over the quantized output of `node` to its inputs; `layers` are on integers or excluded."""
    output = node.outputs[0]
    if node.op_type in POOLS:
        source = node.inputs[0]
        if source is not None and source.name in placement.uses:
            _want(placement, source, node, 0)
        return
    if node.op_type == "Add":
        for index in _integer_operands(node, layers):
            value = node.inputs[index]
            if value is not None:
                _want(placement, value, node, index)
        return
    if not _moves_bytes(node) or _read_in_float(output, placement):
        return
    for index, value in enumerate(node.inputs):
        data = index == 0 or node.op_type == "Concat"
        if data and value is not None and constant(value) is None:
            _want(placement, value, node, index)
            _unite(placement, value.name or "", output.name or "")


def _moves_bytes(node: ir.Node) -> bool:
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", "nearest") == "nearest")
    if node.op_type == "MaxPool":
        return len(node.outputs) == 1
    if node.op_type == "Concat":
        return all(value is not None and constant(value) is None for value in node.inputs)
    return node.op_type in SELECTIONS


def _read_in_float(value: ir.Value, placement: Placement) -> bool:
    integer = placement.uses.get(value.name or "", set())
    return value.is_graph_output() or any((label(use.node), use.idx) not in integer for use in value.uses())


def _integer_operands(node: ir.Node, layers: Collection[str]) -> list[int]:
    """Return the inputs of a residual Add to quantize: none where it is a bias, or broadcasts.

    What an excluded layer gives stays in float, so that no exclusion asks for a range that was not calibrated.
    """
    shapes = [None if value is None or constant(value) is not None else value.shape for value in node.inputs]
    if None in shapes or shapes[0] != shapes[1] or node.inputs[0] is node.inputs[1]:
        return []
    for index, value in enumerate(node.inputs):
        producer = None if value is None else value.producer()
        if value is not None and producer is not None and label(producer) in layers and len(value.uses()) == 1:
            return [1 - index]
    return [0, 1]


def _unite(placement: Placement, first: str, second: str) -> None:
    old, new = placement.groups[first], placement.groups[second]
    for name, root in placement.groups.items():
        if root == old:
            placement.groups[name] = new
