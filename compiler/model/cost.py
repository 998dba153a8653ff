"""Cost of each layer of a model: multiply-accumulates, parameters, bytes of weights and activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import attribute, is_static
from edgec.model.signature import symbols

NOT_REPEATABLE = ("Random", "Bernoulli", "Multinomial")
"""Operators whose result differs from run to run, even with constant inputs."""
INDEX_TYPES = frozenset({ir.DataType.INT64, ir.DataType.BOOL})
"""Element types of shapes, axes, indices and masks: such constants count as bytes, not as parameters."""
SUBGRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
UNKNOWN_SIZE = -1


@dataclass(frozen=True)
class LayerCost:
    """Cost of one inference through one node, for the shapes (batch included) that the model has.

    `shape` is that of the first output; -1 stands for a size that depends on the data. `parameters` and
    `weight_bytes` are counted for the first layer that reads a constant, so that sums count shared weights once.
    `activation_bytes` are those of all outputs.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    parameters: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class OpenLayer:
    """One node of a model whose shapes are not fixed; open sizes of its first output have the inputs' names, or `?`."""

    name: str
    op: str
    shape: tuple[int | str, ...] | None
    parameters: int


def layer_costs(model: ir.Model) -> tuple[LayerCost, ...]:
    """Return the cost of every node of the main graph that computes at run time, in order.

    Convolutions, matrix products, Gemm, recurrent layers and Einsum of two operands have MACs; a bias adds none.
    All other operators have 0, as do the bodies of If, Loop and Scan. Nodes that compute constants are not layers.

    Args:
        model: As `edgec.model.shapes.fix_shapes` returns it.

    Raises:
        UnsupportedModel: The shape of an operand that the MACs depend on is open; the message names operator and node.
    """
    return tuple(_layer(node, own) for node, own in _computing(model.graph))


def open_layers(model: ir.Model) -> tuple[OpenLayer, ...]:
    """Return every node of the main graph of `model` that computes at run time, in order; shapes may be open."""
    named = {str(size) for value in model.graph.inputs for size in symbols(value.shape) or () if size != "?"}
    return tuple(
        OpenLayer(_name(node), node.op_type, symbols(node.outputs[0].shape, named), _parameters(own))
        for node, own in _computing(model.graph)
    )


def _computing(graph: ir.Graph) -> Iterator[tuple[ir.Node, list[ir.Value]]]:
    """Yield every node that computes at run time, with the constants that it is the first to read."""
    constants = _constants(graph)
    counted: set[ir.Value] = set()
    for node in graph:
        if all(output in constants for output in node.outputs):
            continue
        operands = [value for value in dict.fromkeys(node.inputs) if value is not None]
        own = [value for value in operands if value in constants and value not in counted]
        counted.update(own)
        yield node, own


def total_cost(layers: Iterable[LayerCost]) -> LayerCost:
    """Return the sum of `layers` as a layer named `total`."""
    layers = tuple(layers)
    return LayerCost(
        name="total",
        op="",
        shape=(),
        macs=sum(layer.macs for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
    )


def _layer(node: ir.Node, constants: list[ir.Value]) -> LayerCost:
    first = node.outputs[0]
    count_macs = MACS.get(node.op_type)
    return LayerCost(
        name=_name(node),
        op=node.op_type,
        shape=() if first.shape is None else tuple(d if isinstance(d, int) else UNKNOWN_SIZE for d in first.shape),
        macs=0 if count_macs is None else count_macs(node),
        parameters=_parameters(constants),
        weight_bytes=sum(map(_bytes, constants)),
        activation_bytes=sum(map(_bytes, node.outputs)),
    )


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""


def _parameters(constants: Iterable[ir.Value]) -> int:
    return sum(_elements(value) for value in constants if value.dtype not in INDEX_TYPES)


def _constants(graph: ir.Graph) -> set[ir.Value]:
    """Return the values that do not depend on the inputs: initializers and everything computed from constants alone."""
    known: set[ir.Value] = {value for value in graph.initializers.values() if not value.is_graph_input()}
    for node in graph:
        repeatable = not node.op_type.startswith(NOT_REPEATABLE)
        closed = not any(attr.type in SUBGRAPHS for attr in node.attributes.values())
        operands = [value for value in node.inputs if value is not None]
        from_constants = bool(operands) and all(value in known for value in operands)
        of_static_shape = node.op_type in ("Shape", "Size") and all(map(is_static, operands))
        if node.op_type == "Constant" or (repeatable and closed and (from_constants or of_static_shape)):
            known.update(node.outputs)
    return known


def _elements(value: ir.Value) -> int:
    if value.shape is not None and value.shape.is_static():
        return math.prod(value.shape.numpy())
    return 0 if value.const_value is None else value.const_value.size


def _bytes(value: ir.Value) -> int:
    return 0 if value.dtype is None else math.ceil(_elements(value) * value.dtype.itemsize)


def _shape(node: ir.Node, value: ir.Value | None) -> tuple[int, ...]:
    if value is None or value.shape is None or not value.shape.is_static():
        raise UnsupportedModel(
            f"the cost of {node.op_type} node {node.name!r} is unknown: the shape of "
            f"{'an operand' if value is None else repr(value.name)} is open",
            remedy="Fix the shapes with --shape; sizes that depend on the data have no cost.",
        )
    return value.shape.numpy()


def _convolution(weight: int) -> Callable[[ir.Node], int]:
    """Return a function that counts a convolution's MACs; its weight [out, in/group, *kernel] is input `weight`."""

    def macs(node: ir.Node) -> int:
        return math.prod(_shape(node, node.outputs[0])) * math.prod(_shape(node, node.inputs[weight])[1:])

    return macs


def _transposed_convolution(node: ir.Node) -> int:
    # Every input element is multiplied once with each weight of its group: [in, out/group, *kernel].
    return math.prod(_shape(node, node.inputs[0])) * math.prod(_shape(node, node.inputs[1])[1:])


def _matrix_product(node: ir.Node) -> int:
    return math.prod(_shape(node, node.outputs[0])) * _shape(node, node.inputs[0])[-1]


def _gemm(node: ir.Node) -> int:
    rows, columns = _shape(node, node.inputs[0])
    return math.prod(_shape(node, node.outputs[0])) * (rows if attribute(node, "transA", 0) else columns)


def _recurrent(node: ir.Node) -> int:
    # Each step of each sequence is multiplied with W [directions, gates*hidden, in] and R [.., gates*hidden, hidden].
    first, second, _ = _shape(node, node.inputs[0])
    weights = sum(math.prod(_shape(node, value)) for value in node.inputs[1:3])
    return first * second * weights


def _einsum(node: ir.Node) -> int:
    terms = attribute(node, "equation", "").replace(" ", "").split("->")[0].split(",")
    if len(terms) != 2 or any("." in term for term in terms):
        return 0
    sizes: dict[str, int] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        sizes.update(zip(term, _shape(node, value), strict=True))
    return math.prod(sizes.values())


MACS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _convolution(1),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matrix_product,
    "MatMulInteger": _matrix_product,
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _matrix_product,
    "RNN": _recurrent,
}


def fused_cost(nodes: Collection[ir.Node], costs: Iterable[LayerCost]) -> tuple[int, int]:
    """Return the multiply-accumulates and the bytes of nodes that are computed in one go.

    The bytes are what the nodes read from others, what they write for others, and their weights, in the types of the
    model.

    Args:
        nodes: Nodes of one graph.
        costs: Those of `layer_costs` that belong to `nodes`.
    """
    inside, own = set(nodes), list(costs)
    read = {value for node in nodes for value in node.inputs if value is not None and _is_from_outside(value, inside)}
    written = [
        value
        for node in nodes
        for value in node.outputs
        if value.is_graph_output() or not inside.issuperset(value.consumers())
    ]
    moved = sum(map(_bytes, (*read, *written))) + sum(cost.weight_bytes for cost in own)
    return sum(cost.macs for cost in own), moved


def _is_from_outside(value: ir.Value, inside: set[ir.Node]) -> bool:
    return value.producer() not in inside and value.const_value is None
