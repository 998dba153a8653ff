"""Sequences of tensors whose length is known: they are only how values are passed on, no code comes of them."""

from __future__ import annotations

import numpy as np
from tvm import relax

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, TensorSequence, shape_of, tensor


def _items(n: OnnxNode, index: int = 0) -> tuple[Expr, ...]:
    value = n[index]
    if not isinstance(value, TensorSequence):
        raise Refused("on a sequence of unknown length")
    return value.items


def _position(n: OnnxNode, index: int, default: int) -> int:
    return int(n.constant(index, "position").reshape(())) if n.has(index) else default


def _construct(n: OnnxNode) -> TensorSequence:
    return TensorSequence(n.inputs)


def _empty(n: OnnxNode) -> TensorSequence:
    return TensorSequence(())


def _insert(n: OnnxNode) -> TensorSequence:
    items = list(_items(n))
    items.insert(_position(n, 2, len(items)), n[1])
    return TensorSequence(tuple(items))


def _erase(n: OnnxNode) -> TensorSequence:
    items = list(_items(n))
    items.pop(_position(n, 1, -1))
    return TensorSequence(tuple(items))


def _at(n: OnnxNode) -> Expr:
    return _items(n)[_position(n, 1, 0)]


def _length(n: OnnxNode) -> Expr:
    return tensor(len(_items(n)), "int64")


def _split(n: OnnxNode) -> TensorSequence:
    """SplitToSequence: into parts of one length, the last of which may be shorter, or of the lengths given."""
    axis, size = n.axis(0), n.shape(0)[n.axis(0)]
    given = n.constant(1, "split") if n.has(1) else np.array(1)
    ends = np.cumsum(given).tolist() if given.ndim else [*range(int(given), size, int(given)), size]
    parts = [relax.op.strided_slice(n[0], [axis], [b], [e]) for b, e in zip([0, *ends[:-1]], ends, strict=True)]
    if not n.has(1) and not n.attribute("keepdims", 1):
        parts = [relax.op.squeeze(part, [axis]) for part in parts]
    return TensorSequence(tuple(n.emit(part) for part in parts))


def _concat(n: OnnxNode) -> Expr:
    items, axis = list(_items(n)), n.attribute("axis")
    if n.attribute("new_axis", 0):
        return relax.op.stack(items, axis)
    return relax.op.concat(items, axis % len(shape_of(items[0])))


CONVERTERS: dict[str, Converter] = {
    "ConcatFromSequence": _concat,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}
