"""`trainable`: which constants of a network are trained, and in which form they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant
from edgec.model.traits import LINEAR

NORMALIZATIONS = frozenset({"BatchNormalization", "InstanceNormalization", "LayerNormalization"})
PASSED_ON = frozenset({"Cast", "Gather", "Identity", "QuantizeLinear", "Reshape", "Slice", "Squeeze", "Transpose"})
"""Operators through which the float constants of a layer's weights are looked for, along the first input."""


@dataclass(frozen=True)
class Stored:
    """Weights or a bias stored as integers: the constant is `name`, its DequantizeLinear reads `scale`.

    Attributes:
        name: Name of the integer constant.
        scale: Name of the scales.
        low: Smallest integer that training may store.
        high: Largest one; widths below that of the type are kept.
        bias: Whether it is a bias, in int32.
        weight_scale: For a bias, the name of the scales of its layer's weights; "" if they are not known.
        input_scale: For a bias, the name of the scale of its layer's input; "" if it is not known.
    """

    name: str
    scale: str
    low: int
    high: int
    bias: bool = False
    weight_scale: str = ""
    input_scale: str = ""


@dataclass(frozen=True)
class Trainable:
    """What is trained: names of float constants, of steps (scales), and integers by the name of their constant."""

    floats: frozenset[str]
    steps: frozenset[str]
    stored: dict[str, Stored]


def trainable(model: ir.Model) -> Trainable:
    """Return what is trained in `model`: weights, biases, slopes and normalizations, and steps of quantization.

    Steps that are all powers of two stay as they are, so that requantization stays a shift; weights move within them.
    """
    floats: set[str] = set()
    stored: dict[str, Stored] = {}
    for node in model.graph:
        for place in _weights(node):
            value = node.inputs[place] if place < len(node.inputs) else None
            for found in _sources(value, node):
                if isinstance(found, Stored):
                    stored.setdefault(found.name, found)
                else:
                    floats.add(found)
    steps = {
        value.name
        for node in model.graph
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and (value := node.inputs[1]) is not None
        if value.name is not None and constant(value) is not None
    }
    steps -= {each.scale for each in stored.values() if each.bias}
    if all(_is_power_of_two(model.graph.initializers[name]) for name in steps if name in model.graph.initializers):
        steps = set()
    return Trainable(frozenset(floats - steps), frozenset(steps), stored)


def _weights(node: ir.Node) -> tuple[int, ...]:
    """Return the places of a node's inputs that hold weights."""
    if node.op_type in LINEAR:
        return (0, 1, 2) if node.op_type == "MatMul" else (1, 2)
    if node.op_type in NORMALIZATIONS:
        return (1, 2)
    if node.op_type == "PRelu":
        return (1,)
    if node.op_type == "Add":  # the bias of a MatMul
        makers = [None if value is None else value.producer() for value in node.inputs]
        return tuple(1 - at for at, maker in enumerate(makers) if maker is not None and maker.op_type in LINEAR)
    return ()


def _sources(value: ir.Value | None, layer: ir.Node) -> Iterator[str | Stored]:
    """Yield the constants from which weights are computed, if they are computed from constants alone."""
    if value is None or value.name is None:
        return
    array = constant(value)
    if array is not None:
        if array.dtype.kind == "f" and value.is_initializer():
            yield value.name
        return
    node = value.producer()
    if node is None or not _from_constants(value):
        return
    if node.op_type == "DequantizeLinear":
        source = node.inputs[0]
        integers = constant(source)
        if source is not None and integers is not None:
            yield _stored(node, source, integers, layer)
            return
        yield from _sources(source, layer)
    elif node.op_type == "Mul":
        for each in node.inputs:
            yield from _sources(each, layer)
    elif node.op_type in PASSED_ON:
        yield from _sources(node.inputs[0], layer)


def _from_constants(value: ir.Value | None) -> bool:
    if value is None or constant(value) is not None:
        return True
    node = value.producer()
    return node is not None and all(_from_constants(each) for each in node.inputs)


def _stored(node: ir.Node, source: ir.Value, integers: np.ndarray[Any, Any], layer: ir.Node) -> Stored:
    name, scale = source.name or "", _name(node.inputs[1])
    if source.dtype == ir.DataType.INT32:
        input_scale = _scale_of(layer.inputs[0])
        return Stored(name, scale, -(2**31), 2**31 - 1, True, _scale_of(layer.inputs[1]), input_scale)
    wide = integers.astype(np.int64)
    if source.dtype in (ir.DataType.UINT8, ir.DataType.UINT4):
        return Stored(name, scale, 0, 255 if source.dtype == ir.DataType.UINT8 else 15)
    # Widths below that of the type are kept: 7 bits for CPUs whose products would saturate, 3 bits stored in 4.
    lowest = int(wide.min(initial=0))
    high = 2 ** max(int(wide.max(initial=1)), -lowest - 1).bit_length() - 1
    return Stored(name, scale, -high - 1 if lowest < -high else -high, high)


def _scale_of(value: ir.Value | None) -> str:
    node = None if value is None else value.producer()
    return _name(node.inputs[1]) if node is not None and node.op_type == "DequantizeLinear" else ""


def _name(value: ir.Value | None) -> str:
    return (value.name or "") if value is not None else ""


def _is_power_of_two(value: ir.Value) -> bool:
    array = constant(value)
    return array is not None and bool((np.frexp(array)[0] == 0.5).all())
