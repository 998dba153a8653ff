"""Walks from an output back to the weights: the fields of an axis, and the operators that computed them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from edgec.model.graph import attribute, constant, shape_of

MOVING = frozenset(
    [
        "Cast",
        "Flatten",
        "Identity",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
        "QuantizeLinear",
        "DequantizeLinear",
        "Dropout",
    ]
)
"""Operators that move or round elements, and compute nothing else."""
PARTS = frozenset(["Slice", "Split", "Gather", "GatherElements", "GatherND", "Expand", "Concat", "Tile", "Pad"])
"""Operators that split or join tensors."""
LAYERS = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "ConvInteger", "MatMulInteger"])
"""Operators with weights: the nodes before them belong to the body of the network."""


@dataclass(frozen=True)
class Field:
    """A part of an axis, with the value from which it comes."""

    size: int
    value: ir.Value


def fields(value: ir.Value, axis: int) -> list[Field]:
    """Return the parts of `axis` that Concat joined, at every level (of several readers, the first decides)."""
    shape = shape_of(value)
    node = value.producer()
    if shape is None or node is None:
        return [Field(0 if shape is None else shape[axis], value)]
    whole = [Field(shape[axis], value)]
    if node.op_type == "Concat":
        at = attribute(node, "axis") % len(shape)
        parts = [fields(part, axis) for part in node.inputs if part is not None]
        if at == axis:
            return [field for part in parts for field in part]
        if all([each.size for each in part] == [each.size for each in parts[0]] for part in parts):
            return parts[0]
        return whole
    if node.op_type not in MOVING or node.inputs[0] is None:
        return whole
    before = shape_of(node.inputs[0])
    if before is None:
        return whole
    source = _axis_before(node, axis, shape, before)
    return whole if source is None else fields(node.inputs[0], source)


def _axis_before(node: ir.Node, axis: int, shape: tuple[int, ...], before: tuple[int, ...]) -> int | None:
    """Return the axis of a moving node's input that corresponds to `axis` of its output, or None."""
    if node.op_type == "Transpose":
        perm = attribute(node, "perm") or tuple(reversed(range(len(shape))))
        return int(perm[axis])
    if shape == before:
        return axis
    for at, size in enumerate(before):
        same_after = prod(before[at + 1 :]) == prod(shape[axis + 1 :])
        if size == shape[axis] and same_after and prod(before[:at]) == prod(shape[:axis]):
            return at
    return None


def ends(value: ir.Value) -> frozenset[str]:
    """Return the operators that computed the elements of `value` last, ignoring those that move or join."""
    found: set[str] = set()
    for node in _upwards(value, through=MOVING | PARTS):
        if node.op_type not in MOVING | PARTS:
            found.add(node.op_type)
    return frozenset(found)


def between(value: ir.Value) -> list[ir.Node]:
    """Return the nodes between `value` and the nearest layers with weights, including these layers."""
    return list(_upwards(value, through=None))


def between_ops(value: ir.Value) -> frozenset[str]:
    """Return the operator types of `between`."""
    return frozenset(node.op_type for node in between(value))


def _upwards(value: ir.Value, through: frozenset[str] | None) -> Iterator[ir.Node]:
    """Yield the nodes that lead to `value`, each once; the walk stops at layers and at operators not in `through`."""
    seen: set[int] = set()
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        further = node.op_type in through if through is not None else not is_layer(node)
        if further:
            # Of operators with indices or shapes as inputs, only the data input is followed.
            data = [node.inputs[0]] if node.op_type in MOVING | PARTS - {"Concat"} else node.inputs
            pending.extend(each for each in data if each is not None)


def is_layer(node: ir.Node) -> bool:
    """Whether `node` is a layer with weights; a product of two computed values is none.

    A convolution whose filter is the constant 0, 1, 2 ... is not one either: it computes the expectation of a
    distribution (DFL), as YOLOv8 and its successors do before their boxes.
    """
    if node.op_type not in LAYERS:
        return False
    if not node.op_type.startswith(("Conv", "QLinearConv")):
        return any(constant(each) is not None for each in node.inputs[1:2])
    weight = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if weight is None or weight.shape[0] != 1:
        return True
    flat = weight.ravel()
    return not (flat.size > 1 and all(flat[k] == k for k in range(flat.size)))


def is_sigmoid(value: ir.Value) -> bool:
    """Whether all elements of `value` are results of a sigmoid."""
    return ends(value) <= {"Sigmoid", "HardSigmoid"} and bool(ends(value))


def softmax_axis(value: ir.Value) -> int | None:
    """Return the axis of the softmax, or its logarithm, that computed `value`; None if there is none.

    If a Reshape or Flatten moved that axis, the axis of the same size is returned.
    """
    node, shape = value.producer(), shape_of(value)
    wanted = shape
    while node is not None and node.op_type in MOVING and node.inputs[0] is not None:
        if node.op_type == "Transpose":
            return _through_transpose(node)
        node = node.inputs[0].producer()
    if node is None or node.op_type not in ("Softmax", "LogSoftmax") or wanted is None:
        return None
    inner = shape_of(node.outputs[0])
    at = None if inner is None else _axis_of_softmax(node, inner)
    if inner is None or at is None:
        return None
    if inner == wanted:
        return at
    same = [axis for axis, size in enumerate(wanted) if size == inner[at] and size > 1]
    return same[0] if len(same) == 1 else None


def _axis_of_softmax(node: ir.Node, shape: tuple[int, ...]) -> int | None:
    """Return the axis of a softmax; before opset 13 the only axis from `axis` on longer than 1."""
    version = 13 if node.graph is None else int(node.graph.opset_imports.get("", 13))
    if version >= 13:
        return int(attribute(node, "axis", -1) % len(shape))
    first = attribute(node, "axis", 1) % len(shape)
    longer = [axis for axis in range(first, len(shape)) if shape[axis] > 1]
    return longer[0] if len(longer) == 1 else None


def _through_transpose(node: ir.Node) -> int | None:
    inner = None if node.inputs[0] is None else softmax_axis(node.inputs[0])
    shape = shape_of(node.outputs[0])
    if inner is None or shape is None:
        return None
    perm = attribute(node, "perm") or tuple(reversed(range(len(shape))))
    return list(perm).index(inner)
