"""Queries and small edits of graphs that several passes need; anything else is plain `onnx_ir`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.traits import INTEGER_LAYERS, QUANTIZERS

Array = np.ndarray[Any, Any]


def constant(value: ir.Value | None) -> Array | None:
    """Return the constant that `value` holds (initializer or Constant node), or None if it depends on the inputs.

    The array shares memory with the model: copy before writing to it.
    """
    if value is None or (value.is_graph_input() and not value.is_initializer()):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.dtype == ir.DataType.STRING else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """Return the number in a constant of exactly one element (of any rank), or None."""
    array = constant(value)
    return None if array is None or array.size != 1 else float(array.reshape(())[()])


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """Return the attribute `name` as a Python value (int, float, str, tuple, tensor, graph), or `default`."""
    attr = node.attributes.get(name)
    if attr is None or attr.value is None:
        return default
    return tuple(attr.value) if isinstance(attr.value, (list, tuple)) else attr.value


def is_quantized(model: ir.Model) -> bool:
    """Return whether `model` computes on integers already: in Q/DQ or in QOperator form.

    With integers as constants alone it does not: those are weights of layers that compute in float.
    """
    return any(
        node.op_type in INTEGER_LAYERS or (node.op_type in QUANTIZERS and not is_fixed(node.inputs[0]))
        for node in model.graph.all_nodes()
    )


def is_fixed(value: ir.Value | None) -> bool:
    """Return whether `value` is a constant, quantized and dequantized perhaps."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type in QUANTIZERS:
        return is_fixed(node.inputs[0])
    return constant(value) is not None


def is_static(value: ir.Value) -> bool:
    """Return whether every dimension of `value` is known."""
    return value.shape is not None and value.shape.is_static()


def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the shape of `value`, or None if it is not static."""
    return None if value is None or value.shape is None or not value.shape.is_static() else value.shape.numpy()


def dtype_of(value: ir.Value | None) -> np.dtype[Any] | None:
    """Return the numpy dtype of `value`, or None if it is unknown."""
    return None if value is None or value.dtype is None else np.dtype(value.dtype.numpy())


def single_consumer(value: ir.Value) -> ir.Node | None:
    """Return the only node that reads `value`, and reads it once, or None; a graph output counts as a reader."""
    uses = value.uses()
    return None if value.is_graph_output() or len(uses) != 1 else next(iter(uses)).node


def label(node: ir.Node) -> str:
    """Return the name of `node` in messages: its own, or that of its first output."""
    return node.name or node.outputs[0].name or node.op_type


def opset(model: ir.Model | ir.Graph) -> int:
    """Return the version of the standard operator set that the model imports."""
    return int(model.opset_imports.get("", 1))


def unique_name(graph: ir.Graph, stem: str) -> str:
    """Return the first of `stem`, `stem_2`, `stem_3`, ... that no value or node of `graph` or its subgraphs has."""
    return free_name(stem, names_in(graph))


def names_in(graph: ir.Graph) -> set[str | None]:
    """Return the names of all values and nodes of `graph` and its subgraphs."""
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    for node in graph:
        taken.add(node.name)
        for output in node.outputs:
            taken.add(output.name)
        for inner in subgraphs(node):
            taken |= names_in(inner)
    return taken


def free_name(stem: str, taken: set[str | None]) -> str:
    """Return the first of `stem`, `stem_2`, `stem_3`, ... that is not in `taken`."""
    candidate, count = stem, 1
    while candidate in taken:
        count += 1
        candidate = f"{stem}_{count}"
    return candidate


class FreshNames:
    """Generates names that are not used in a graph; it collects the graph's names once, for many new ones."""

    def __init__(self, graph: ir.Graph) -> None:
        self._taken = names_in(graph)

    def __call__(self, stem: str) -> str:
        """Return `free_name` of `stem`, and mark it as taken."""
        name = free_name(stem, self._taken)
        self._taken.add(name)
        return name


def subgraphs(node: ir.Node) -> list[ir.Graph]:
    """Return the graphs among the attributes of `node`: branches and bodies."""
    found = []
    for attr in node.attributes.values():
        if attr.type == ir.AttributeType.GRAPH:
            found.append(attr.as_graph())
        elif attr.type == ir.AttributeType.GRAPHS:
            found.extend(attr.as_graphs())
    return found


def add_constant(graph: ir.Graph, stem: str, array: Array) -> ir.Value:
    """Add `array` to `graph` as an initializer named `unique_name(graph, stem)` and return its value."""
    return register_constant(graph, unique_name(graph, stem), array)


def register_constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add `array` to `graph` as an initializer of a name that is free, and return its value."""
    value = ir.val(name, const_value=ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name))
    graph.register_initializer(value)
    return value


def replace_uses(old: ir.Value, new: ir.Value) -> None:
    """Make every reader of `old` read `new`, also if `old` is a graph output; the names of graph outputs stay.

    `new` takes over the output's name; if it cannot (it is an input, an initializer or another output), an
    Identity node carries the name. `old` stays in the graph without readers: remove its node, or leave that to the
    clean-up pass. `new` gets the type and shape of `old` if it has none.
    """
    if new.type is None:
        new.type = old.type
    if new.shape is None:
        new.shape = old.shape
    if not old.is_graph_output():
        old.replace_all_uses_with(new)
        return
    graph, name = old.graph, old.name
    if graph is None or name is None:
        raise ValueError(f"graph output without graph or name: {old!r}")
    replacement = new
    if new.is_graph_output() or new.is_graph_input() or new.is_initializer() or new.graph is not graph:
        node = ir.node("Identity", [new], name=unique_name(graph, f"{name}_identity"))
        node.outputs[0].type, node.outputs[0].shape = new.type, new.shape
        graph.append(node)
        replacement = node.outputs[0]
    # The old name is released first: two values of one name would make the graph invalid.
    old.name = unique_name(graph, f"{name}_replaced")
    replacement.name = name
    for index, value in enumerate(graph.outputs):
        if value is old:
            graph.outputs[index] = replacement
    old.replace_all_uses_with(new)
