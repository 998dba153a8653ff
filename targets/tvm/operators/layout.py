"""Operators that move elements without arithmetic: reshape, transpose, slice, repeat, pad."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, shape_of, tensor


def _reshape(n: OnnxNode) -> Expr:
    return relax.op.reshape(n[0], n.output_shape)


def _transpose(n: OnnxNode) -> Expr:
    order = n.attribute("perm") or tuple(reversed(range(n.rank(0))))
    return relax.op.permute_dims(n[0], list(order)) if n.rank(0) else n[0]


def _identity(n: OnnxNode) -> Expr:
    return n[0]


def _dropout(n: OnnxNode) -> list[Expr]:
    """Dropout in inference mode: nothing is dropped."""
    training, ratio = n.known(2), n.known(1)
    inert = not n.has(2) or (training is not None and not training) or (ratio is not None and not ratio)
    if not inert:
        raise Refused("in training mode")
    return [n[0], tensor(np.ones(n.shape(0), bool))] if n.is_used(1) else [n[0]]


def _concat(n: OnnxNode) -> Expr:
    axis = n.axis(0)
    parts = [part for part in n.inputs if shape_of(part)[axis]] or [n[0]]
    return parts[0] if len(parts) == 1 else relax.op.concat(parts, axis)


def _split(n: OnnxNode) -> list[Expr]:
    axis = n.axis(0)
    ends: list[int] = []
    for output in n.node.outputs:
        shape = output.shape
        if shape is None or not shape.is_static():
            raise Refused("with outputs whose sizes depend on the data")
        ends.append((ends[-1] if ends else 0) + int(shape.numpy()[axis]))
    if len(ends) == 1:
        return [n[0]]
    whole = n.emit(relax.op.split(n[0], ends[:-1], axis))
    return [relax.TupleGetItem(whole, index) for index in range(len(ends))]


def _slice(n: OnnxNode) -> Expr:
    """Slice; with a negative step the same elements are taken in forward order, then reversed."""
    rank, shape = n.rank(0), n.shape(0)
    starts, ends = (n.constant(index, what) for index, what in ((1, "starts"), (2, "ends")))
    axes = n.constant(3, "axes") if n.has(3) else np.arange(len(starts))
    steps = n.constant(4, "steps") if n.has(4) else np.ones(len(starts), np.int64)
    taken: list[tuple[int, int, int, int]] = []
    turned = []
    for start, end, raw, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist(), strict=True):
        axis = raw % rank
        at = range(*slice(start, end, step).indices(shape[axis]))
        if step < 0:
            at = at[::-1]
            turned.append(axis)
        if len(at) != shape[axis]:
            taken.append((axis, at.start, at.start + len(at) * at.step if len(at) else at.start, at.step))
    result = n[0]
    if taken:
        columns = [list(column) for column in zip(*taken, strict=True)]
        columns[2] = [min(end, shape[axis]) for end, axis in zip(columns[2], columns[0], strict=True)]
        result = relax.op.strided_slice(result, *columns)
    for axis in turned:
        result = relax.op.flip(result, axis)
    return result


def _pad(n: OnnxNode) -> Expr:
    """Pad in every mode; negative numbers crop."""
    rank, shape, pads = n.rank(0), n.shape(0), n.constant(1, "pads").reshape(-1)
    axes = [int(axis) % rank for axis in n.constant(3, "axes").reshape(-1)] if n.has(3) else list(range(rank))
    before = dict(zip(axes, pads[: len(axes)].tolist(), strict=True))
    mode, out = n.attribute("mode", "constant"), n.output_shape
    changed = [axis for axis in range(rank) if before.get(axis, 0) or out[axis] != shape[axis]]
    if not changed:
        return n[0]
    fill = n[2] if n.has(2) else tensor(0, n.dtype(0))

    def padded(x: te.Tensor, value: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            place, inside = list(at), tirx.const(True, "bool")
            for axis in changed:
                index, size = at[axis] - before.get(axis, 0), shape[axis]
                place[axis] = _source(index, size, mode, -before.get(axis, 0), out[axis])
                if mode == "constant":
                    inside = tirx.all(inside, index >= 0, index < size)
            if mode != "constant":
                return x(*place)
            return tirx.if_then_else(inside, x(*place), value(*[0] * len(value.shape)))

        return te.compute(out, element, name="padded")

    return n.compute(padded, n[0], fill, name="pad")


def _source(index: Any, size: int, mode: str, first: int, count: int) -> Any:
    """Return which of `size` elements stands at `index`, one of `count` from `first` on, which may lie outside."""
    if mode == "edge":
        return tirx.min(tirx.max(index, 0), size - 1)
    if mode == "wrap":
        return _remainder(index, size, first, count)
    if mode == "reflect" and size > 1:
        round_trip = _remainder(index, 2 * size - 2, first, count)
        return tirx.min(round_trip, 2 * size - 2 - round_trip)
    return tirx.const(0, "int32") if mode == "reflect" else index


def _remainder(index: Any, period: int, first: int, count: int) -> Any:
    """Return `index` modulo `period`, by comparisons.

    TVM simplifies floormod wrongly if one loop runs over two axes, each with an offset: (i % 10 + 3) % 5 becomes
    (i + 30) % 5 beside (i // 10 + 3) % 4.
    """
    lowest, highest = first // period, (first + count - 1) // period
    result = index - lowest * period
    for turn in range(lowest + 1, highest + 1):
        result = tirx.Select(index >= turn * period, index - turn * period, result)
    return result


def _tile(n: OnnxNode) -> Expr:
    shape = n.shape(0)

    def tiled(x: te.Tensor) -> te.Tensor:
        return te.compute(
            n.output_shape, lambda *at: x(*(tirx.floormod(i, size) for i, size in zip(at, shape, strict=True)))
        )

    return n[0] if n.output_shape == shape else n.compute(tiled, n[0], name="tile")


def _expand(n: OnnxNode) -> Expr:
    return n[0] if n.output_shape == n.shape(0) else relax.op.broadcast_to(n[0], n.output_shape)


def _depth_to_space(n: OnnxNode) -> Expr:
    (batch, channels, rows, columns), size = _picture(n), n.attribute("blocksize")
    each = channels // (size * size)
    if n.attribute("mode", "DCR") == "CRD":
        split, order = (batch, each, size, size, rows, columns), [0, 1, 4, 2, 5, 3]
    else:
        split, order = (batch, size, size, each, rows, columns), [0, 3, 4, 1, 5, 2]
    return relax.op.reshape(relax.op.permute_dims(relax.op.reshape(n[0], split), order), n.output_shape)


def _space_to_depth(n: OnnxNode) -> Expr:
    (batch, channels, rows, columns), size = _picture(n), n.attribute("blocksize")
    split = (batch, channels, rows // size, size, columns // size, size)
    order = [0, 1, 3, 5, 2, 4] if n.attribute("mode", "DCR") == "CRD" else [0, 3, 5, 1, 2, 4]
    return relax.op.reshape(relax.op.permute_dims(relax.op.reshape(n[0], split), order), n.output_shape)


def _picture(n: OnnxNode) -> tuple[int, int, int, int]:
    if n.rank(0) != 4:
        raise Refused(f"on {n.rank(0)} axes")
    batch, channels, rows, columns = n.shape(0)
    return batch, channels, rows, columns


def _reverse_sequence(n: OnnxNode) -> Expr:
    """ReverseSequence: the first `sequence_lens` steps of each batch element are reversed."""
    batch, time = n.attribute("batch_axis", 1), n.attribute("time_axis", 0)

    def turned(x: te.Tensor, lengths: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            step, length, place = at[time], lengths[at[batch]].astype("int32"), list(at)
            place[time] = tirx.if_then_else(step < length, length - 1 - step, step)
            return x(*place)

        return te.compute(x.shape, element, name="turned")

    return n.compute(turned, n[0], n[1], name="reverse_sequence")


CONVERTERS: dict[str, Converter] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _reshape,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshape,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
