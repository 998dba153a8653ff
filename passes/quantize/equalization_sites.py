"""`find_sites`: tensors whose channels can be scaled because the layers around them can absorb the scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant, scalar

Array = np.ndarray[Any, Any]


HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity"})
"""Operators with f(a x) = a f(x) for a > 0, channel by channel."""

WHOLE = frozenset({"Relu", "LeakyRelu", "MaxPool", "Identity", "Clip"})
"""Operators after which a channel that a Clip clips still reaches the limit; after a mean or a sum it does not."""

LEAST_RANK = 3
"""Minimum rank of the input of a convolution: batch, channels and one axis."""


@dataclass(frozen=True)
class Site:
    """A tensor whose channels can be scaled: the layers that read it undo the scaling by `absorber`.

    Attributes:
        value: The tensor, [n, channels, ...].
        readers: Convolutions, which are all its readers.
        passed: Nodes between the absorber and the tensor through which a scale per channel passes.
        absorber: Layer, or Mul by a constant, that absorbs the scale; None: a Mul has to be inserted.
    """

    value: ir.Value
    readers: tuple[ir.Node, ...]
    passed: tuple[ir.Node, ...]
    absorber: ir.Node | None


def find_sites(model: ir.Model) -> list[Site]:
    """Return the tensors whose channels can be scaled; each absorber occurs once."""
    sites: list[Site] = []
    taken: set[ir.Node] = set()
    for node in model.graph:
        value = node.inputs[0] if node.op_type == "Conv" and not node.domain else None
        if value is None or channels_of(value) < 0 or any(value is site.value for site in sites):
            continue
        readers = tuple(use.node for use in value.uses())
        absorber, passed = _absorber(value)
        if absorber in taken or not all(_undoes(reader, value) for reader in readers):
            continue
        if absorber is None and (value.producer() is None or value.is_graph_output()):
            continue
        if absorber is not None:
            taken.add(absorber)
        sites.append(Site(value, readers, tuple(passed), absorber))
    return sites


def _undoes(reader: ir.Node, value: ir.Value) -> bool:
    weights = reader.inputs[1] if reader.op_type == "Conv" and not reader.domain else None
    alone = weights is not None and constant(weights) is not None and len(weights.uses()) == 1
    return alone and reader.inputs[0] is value and attribute(reader, "group", 1) in (1, channels_of(value))


def _absorber(value: ir.Value) -> tuple[ir.Node | None, list[ir.Node]]:
    """Walk up from `value` to the node that can absorb a scale per channel; None if a node on the way blocks it."""
    passed: list[ir.Node] = []
    current, first = value, True
    while True:
        node = current.producer()
        if node is None or node.domain or current.is_graph_output() or (not first and len(current.uses()) != 1):
            return None, []
        first = False
        if node.op_type in ("Conv", "ConvTranspose") and _own_constants(node, node.inputs[1:]):
            fits = node.op_type == "Conv" or attribute(node, "group", 1) == 1
            return (node, passed) if fits else (None, [])
        data = _data_input(node)
        if data is None or (node.op_type == "Clip" and not all(each.op_type in WHOLE for each in passed)):
            return None, []
        if node.op_type == "Mul":
            return node, passed
        passed.append(node)
        current = data


def _data_input(node: ir.Node) -> ir.Value | None:
    """Return the input to which a scale per channel can be moved, None if there is none."""
    if node.op_type in HOMOGENEOUS and len(node.outputs) == 1:
        return node.inputs[0]
    if node.op_type == "Clip":
        low = scalar(node.inputs[1]) if len(node.inputs) > 1 else None
        high = scalar(node.inputs[2]) if len(node.inputs) > 2 else None
        return node.inputs[0] if low == 0 and high is not None else None
    if node.op_type in ("Mul", "Add"):
        for index in (0, 1):
            data, other = node.inputs[1 - index], constant(node.inputs[index])
            if other is not None and data is not None and _per_channel(other, data):
                return data
    return None


def _per_channel(array: Array, data: ir.Value) -> bool:
    rank = 0 if data.shape is None else len(data.shape)
    if rank < LEAST_RANK or array.ndim > rank:
        return False
    shape = (1,) * (rank - array.ndim) + array.shape
    return math.prod(shape) == shape[1] and shape[1] in (1, channels_of(data))


def _own_constants(node: ir.Node, values: Sequence[ir.Value | None]) -> bool:
    return all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in values)


def channels_of(value: ir.Value) -> int:
    """Return the number of channels, -1 if it depends on the data."""
    return int(value.shape[1]) if value.shape is not None and isinstance(value.shape[1], int) else -1
