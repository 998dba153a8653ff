"""Faults put into one layer of a network, as a compiler might: what `mutants.py` and the tests look for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, attribute, constant

Array = np.ndarray[Any, Any]

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def mutants(model: ir.Model, seed: int, count: int) -> Iterator[tuple[str, ir.Model]]:
    """Yield `count` mutants of `model`: copies with one node changed, and what was done to which.

    Kinds take turns, each at nodes drawn from `seed`; no fault is made twice.
    """
    rng = np.random.default_rng(seed)
    places = {kind: list(rng.permutation(_places(model, kind))) for kind in KINDS}
    while count and any(places.values()):
        for kind, left in places.items():
            while left and count:
                index = int(left.pop())
                changed = model.clone()
                node = list(changed.graph)[index]
                if KINDS[kind](node, np.random.default_rng([seed, index])):
                    count -= 1
                    yield f"{kind}, {node.op_type} {node.name}", changed
                    break


def _places(model: ir.Model, kind: str) -> list[int]:
    wanted = OPERATORS.get(kind, LAYERS)
    return [index for index, node in enumerate(model.graph) if node.op_type in wanted and not node.domain]


def _weights(node: ir.Node, index: int = 1) -> tuple[ir.Node, int, Array] | None:
    """Return which input of which node holds the weights: of the layer itself, or of the dequantization before it."""
    value = node.inputs[index] if len(node.inputs) > index else None
    producer = None if value is None else value.producer()
    holder, place = (producer, 0) if producer is not None and producer.op_type == "DequantizeLinear" else (node, index)
    array = constant(holder.inputs[place]) if len(holder.inputs) > place else None
    return None if array is None else (holder, place, array)


def _filters(node: ir.Node, array: Array) -> Array:
    """Return a view of weights with the output channels first."""
    first = node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0))
    return array if first else np.moveaxis(array, 1 if array.ndim > 1 else 0, 0)


def _on_weights(change: Callable[[Array, np.random.Generator], bool]) -> Callable[[ir.Node, np.random.Generator], bool]:
    def fault(node: ir.Node, rng: np.random.Generator) -> bool:
        found = _weights(node)
        if found is None or found[2].ndim < 2:
            return False
        holder, place, array = found
        copy = array.copy()
        if not change(_filters(node, copy), rng) or np.array_equal(copy, array):
            return False
        holder.replace_input_with(place, add_constant(holder.graph, f"{node.name}_mutated", copy))  # type: ignore[arg-type]
        return True

    return fault


def _scaled(factor: float) -> Callable[[Array, np.random.Generator], bool]:
    def change(filters: Array, rng: np.random.Generator) -> bool:
        chosen = filters[rng.integers(len(filters))]
        chosen[...] = np.clip(np.rint(chosen * factor), -127, 127) if chosen.dtype == np.int8 else chosen * factor
        return True

    return change


def _swap(filters: Array, rng: np.random.Generator) -> bool:
    if len(filters) < 2:
        return False
    one, other = rng.choice(len(filters), 2, replace=False)
    filters[[one, other]] = filters[[other, one]]
    return True


def _largest_lost(filters: Array, rng: np.random.Generator) -> bool:
    filters[
        np.unravel_index(
            np.abs(filters.astype(np.int64 if filters.dtype == np.int8 else np.float64)).argmax(), filters.shape
        )
    ] = 0
    return True


def _turned(filters: Array, rng: np.random.Generator) -> bool:
    if filters.ndim < 3 or filters.shape[-1] == 1:
        return False
    filters[...] = filters[..., ::-1].copy()
    return True


def _inputs_shifted(filters: Array, rng: np.random.Generator) -> bool:
    if filters.shape[1] < 2:
        return False
    filters[...] = np.roll(filters, 1, axis=1)
    return True


def _all_scaled(filters: Array, rng: np.random.Generator) -> bool:
    if filters.dtype == np.int8:
        return False
    filters *= 1.05
    return True


def _bias(node: ir.Node, rng: np.random.Generator) -> bool:
    found = _weights(node, 2)
    if found is None or found[2].ndim != 1 or not found[2].any():
        return False
    holder, place, array = found
    copy = array.copy()
    copy[np.abs(copy).argsort()[int(rng.integers(len(copy) // 2, len(copy)))]] = 0
    holder.replace_input_with(place, add_constant(holder.graph, f"{node.name}_mutated", copy))  # type: ignore[arg-type]
    return True


def _padding(node: ir.Node, rng: np.random.Generator) -> bool:
    pads = list(attribute(node, "pads", ()))
    half = len(pads) // 2
    if not any(pads):
        return False
    axis = next(index for index in range(half) if pads[index] or pads[index + half])
    step = 1 if pads[axis] else -1
    pads[axis], pads[axis + half] = pads[axis] - step, pads[axis + half] + step
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    return True


def _become(op_type: str, **attributes: Any) -> Callable[[ir.Node, np.random.Generator], bool]:
    def fault(node: ir.Node, rng: np.random.Generator) -> bool:
        kept = [each for each in node.attributes.values() if op_type != "Identity" and each.name in PASSED]
        new = ir.Node("", op_type, node.inputs[:1], kept, num_outputs=1, name=node.name)
        for name, value in attributes.items():
            new.attributes[name] = ir.convenience.convert_attribute(name, value)
        ir.convenience.replace_nodes_and_values(node.graph, node, [node], [new], node.outputs, new.outputs)
        return True

    return fault


PASSED = ("kernel_shape", "strides", "pads", "ceil_mode")


def _clip(node: ir.Node, rng: np.random.Generator) -> bool:
    high = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if high is None:
        return False
    node.replace_input_with(2, add_constant(node.graph, f"{node.name}_mutated", high * np.float32(0.5)))  # type: ignore[arg-type]
    return True


def _operand_lost(node: ir.Node, rng: np.random.Generator) -> bool:
    shapes = [None if value is None or constant(value) is not None else value.shape for value in node.inputs]
    if None in shapes or shapes[0] != shapes[1]:
        return False
    return _become("Identity")(node, rng)


def _parts_swapped(node: ir.Node, rng: np.random.Generator) -> bool:
    shapes = [None if value is None else value.shape for value in node.inputs]
    for other in range(1, len(shapes)):
        if shapes[0] is not None and shapes[other] == shapes[0] and node.inputs[0] is not node.inputs[other]:
            first, second = node.inputs[0], node.inputs[other]
            node.replace_input_with(0, second)
            node.replace_input_with(other, first)
            return True
    return False


def _linear(node: ir.Node, rng: np.random.Generator) -> bool:
    if attribute(node, "mode", "nearest") != "nearest":
        return False
    node.attributes["mode"] = ir.AttrString("mode", "linear")
    return True


def _step(node: ir.Node, rng: np.random.Generator) -> bool:
    source, scale = node.inputs[0], constant(node.inputs[1])
    if scale is None or scale.size != 1 or source is None or constant(source) is not None:
        return False
    node.replace_input_with(1, add_constant(node.graph, f"{node.name}_mutated", scale * np.float32(1.1)))  # type: ignore[arg-type]
    return True


Fault = Callable[[ir.Node, np.random.Generator], bool]
KINDS: dict[str, Fault] = {
    "filter zeroed": _on_weights(_scaled(0.0)),
    "filter halved": _on_weights(_scaled(0.5)),
    "filter negated": _on_weights(_scaled(-1.0)),
    "filters swapped": _on_weights(_swap),
    "largest weight lost": _on_weights(_largest_lost),
    "kernel turned": _on_weights(_turned),
    "input channels shifted": _on_weights(_inputs_shifted),
    "weights 5 % larger": _on_weights(_all_scaled),
    "bias lost": _bias,
    "padding on one side": _padding,
    "Relu lost": _become("Identity"),
    "Clip at half": _clip,
    "HardSwish as Relu": _become("Relu"),
    "Sigmoid as HardSigmoid": _become("HardSigmoid"),
    "MaxPool as AveragePool": _become("AveragePool"),
    "operand of Add lost": _operand_lost,
    "parts of Concat swapped": _parts_swapped,
    "Resize linear": _linear,
    "step of integers 10 % larger": _step,
}
OPERATORS = {
    "Relu lost": {"Relu"},
    "Clip at half": {"Clip"},
    "HardSwish as Relu": {"HardSwish", "Swish"},
    "Sigmoid as HardSigmoid": {"Sigmoid"},
    "MaxPool as AveragePool": {"MaxPool"},
    "operand of Add lost": {"Add"},
    "parts of Concat swapped": {"Concat"},
    "Resize linear": {"Resize"},
    "padding on one side": {"Conv", "MaxPool", "AveragePool"},
    "step of integers 10 % larger": {"QuantizeLinear"},
}
"""Where a fault can be made, if not in every layer."""
