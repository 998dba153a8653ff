"""Uses of operators that move elements, look them up or write them by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.uses.use import FLOATS, INTEGERS, Draw, Use

ANY = (*FLOATS, *INTEGERS, "bool")


def reshape(d: Draw) -> Use:
    shape = d.shape(0, 4)
    size = int(np.prod(shape))
    target = d.one(list(shape), [size], [1, size], [*shape, 1, 1], [-1, *shape[1:]] if shape else [-1], [-1])
    if shape and target == list(shape) and d.flag():
        target[d.integer(0, len(shape) - 1)] = 0
    attributes = {"allowzero": 0} if d.opset >= 14 and d.flag(0.2) else {}
    return d.made("Reshape", [d.array(shape, d.one(*ANY)), np.array(target, np.int64)], attributes, constants=[1])


def flatten(d: Draw) -> Use:
    x = d.array(d.shape(1), d.one(*FLOATS))
    axis = d.integer(-x.ndim if d.opset >= 11 else 0, x.ndim)
    return d.made("Flatten", [x], d.maybe(axis=axis))


def squeeze(d: Draw) -> Use:
    shape = [d.one(1, 1, 2, 3) for _ in range(d.integer(1, 5))]
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    negative = d.opset >= 11
    axes = [axis - len(shape) if negative and d.flag(0.3) else axis for axis in ones if d.flag(0.7)]
    x = d.array(shape, d.one(*ANY))
    if d.flag(0.3) or not axes:
        return d.made("Squeeze", [x])
    if d.opset < 13:
        return d.made("Squeeze", [x], {"axes": axes})
    return d.made("Squeeze", [x, np.array(axes)], constants=[1])


def unsqueeze(d: Draw) -> Use:
    x = d.array(d.shape(0, 4), d.one(*ANY))
    count = d.integer(1, 2)
    axes = d.random.permutation(x.ndim + count)[:count].tolist()
    if d.opset >= 11:
        axes = [axis - x.ndim - count if d.flag(0.3) else axis for axis in axes]
    if d.opset < 13:
        return d.made("Unsqueeze", [x], {"axes": axes})
    return d.made("Unsqueeze", [x, np.array(axes)], constants=[1])


def transpose(d: Draw) -> Use:
    x = d.array(d.shape(0), d.one(*ANY))
    return d.made("Transpose", [x], d.maybe(perm=d.random.permutation(x.ndim).tolist()) if x.ndim else {})


def identity(d: Draw) -> Use:
    return d.made(d.one("Identity", "Dropout"), [d.array(d.shape(), d.one(*FLOATS))])


def concat(d: Draw) -> Use:
    shape, kind = list(d.shape(1)), d.one(*ANY)
    axis = d.integer(-len(shape), len(shape) - 1) if d.opset >= 11 else d.integer(0, len(shape) - 1)
    parts = []
    for _ in range(d.integer(1, 4)):
        shape[axis] = d.integer(1, 4)
        parts.append(d.array(shape, kind))
    return d.made("Concat", parts, {"axis": axis}, weights=[d.integer(0, len(parts) - 1)] if len(parts) > 1 else [])


def split(d: Draw) -> Use:
    shape = list(d.shape(1, 4))
    axis, count = d.integer(0, len(shape) - 1), d.integer(1, 3)
    sizes = [d.integer(1, 3) for _ in range(count)]
    even = d.flag()
    shape[axis] = count * 2 if even else sum(sizes)
    attributes: dict[str, Any] = {"axis": axis - len(shape) if d.flag(0.3) and d.opset >= 11 else axis}
    inputs = [d.array(shape, d.one(*FLOATS))]
    if not even and d.opset >= 13:
        inputs.append(np.array(sizes))
    elif not even:
        attributes["split"] = sizes
    elif d.opset >= 18:
        attributes["num_outputs"] = count
        if count > 1 and d.flag(0.3):
            shape[axis] -= 1
            inputs = [d.array(shape, "float32")]
    return d.made("Split", inputs, attributes, constants=[1], outputs=count)


def cut(d: Draw) -> Use:
    x = d.array(d.shape(1), d.one(*ANY if d.opset >= 10 else FLOATS))
    axes = d.axes(x.ndim) if d.opset >= 11 else [axis % x.ndim for axis in d.axes(x.ndim)]
    starts, ends, steps = [], [], []
    for axis in axes:
        size = x.shape[axis]
        step = d.one(1, 1, 2, -1, -2) if d.opset >= 10 else 1
        first = d.integer(0, size - 1)
        last = d.integer(first + 1, size + 2) if step > 0 else d.one(first - 1, -size - 3)
        if step > 0 and d.flag(0.3):
            last = d.one(2**31 - 1, 2**63 - 1)
        if step < 0 and last == -1:
            last = -size - 1
        starts.append(first - size if d.flag(0.3) else first)
        ends.append(last)
        steps.append(step)
    if d.opset < 10:
        return d.made("Slice", [x], {"starts": starts, "ends": ends, "axes": axes})
    kind = d.one("int64", "int64", "int32")
    parts = [
        np.array(np.clip(each, *((-(2**31), 2**31 - 1) if kind == "int32" else (None, None))), kind)
        for each in (starts, ends)
    ]
    if set(steps) != {1} or d.flag():
        parts += [np.array(axes, kind), np.array(steps, kind)]
    elif (
        sorted(axis % x.ndim for axis in axes) != list(range(len(axes)))
        or axes != sorted(axes)
        or min(axes) < 0
        or d.flag()
    ):
        parts.append(np.array(axes, kind))
    return d.made("Slice", [x, *parts], constants=[1, 2, 3, 4])


def pad(d: Draw) -> Use:
    modes = ["constant", "constant", "reflect", "edge", *(["wrap", "wrap"] if d.opset >= 19 else [])]
    mode, shape = d.one(*modes), tuple(d.integer(3, 6) for _ in range(d.integer(1, 4)))
    rank = len(shape)
    axes = d.axes(rank) if d.opset >= 18 and d.flag(0.4) else list(range(rank))
    low = -1 if d.flag(0.3) and mode == "constant" else 0
    pads = [d.integer(low, 2) for _ in range(2 * len(axes))]
    kind = d.one(*FLOATS) if d.opset < 13 else d.one(*FLOATS, "int32", "int64", "uint8", "int8", "bool")
    x = d.array(shape, kind)
    if d.opset < 11:
        return d.made("Pad", [x.astype("float32")], {"pads": pads, "mode": mode, **d.maybe(value=1.5)})
    inputs: list[Any] = [x, np.array(pads)]
    inputs.append(d.array((), kind) if mode == "constant" and d.flag() else None)
    inputs.append(np.array(axes, d.one("int64", "int32")) if axes != list(range(rank)) else None)
    return d.made(
        "Pad", inputs, d.maybe(mode=mode) if mode == "constant" else {"mode": mode}, constants=[1, 3], weights=[2]
    )


def tile(d: Draw) -> Use:
    x = d.array(d.shape(0, 4, 4), d.one(*ANY))
    return d.made("Tile", [x, np.array([d.integer(1, 3) for _ in x.shape], np.int64)], constants=[1])


def expand(d: Draw) -> Use:
    shape = d.shape(0, 4)
    x = d.array(d.broadcast(shape), d.one(*ANY))
    target = [
        1 if d.flag(0.2) and at >= len(shape) - x.ndim and x.shape[at - len(shape)] == size else size
        for at, size in enumerate(shape)
    ]
    return d.made("Expand", [x, np.array(target, np.int64)], constants=[1])


def blocks(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        size, (batch, c, h, w) = d.integer(1, 3), (d.integer(1, 3) for _ in range(4))
        kind = d.one("float32", "float32", "float64")
        if op_type == "SpaceToDepth":
            return d.made(op_type, [d.array((batch, c, h * size, w * size), kind)], {"blocksize": size})
        mode = d.maybe(mode=d.one("DCR", "CRD")) if d.opset >= 11 else {}
        return d.made(op_type, [d.array((batch, c * size * size, h, w), kind)], {"blocksize": size, **mode})

    return draw


def reverse_sequence(d: Draw) -> Use:
    x = d.array((d.integer(1, 5), d.integer(1, 5), *d.shape(0, 2)), d.one(*FLOATS))
    time, batch = d.one((0, 1), (1, 0))
    lengths = d.array((x.shape[batch],), "int64", 1, x.shape[time])
    return d.made("ReverseSequence", [x, lengths], {"time_axis": time, "batch_axis": batch}, weights=[1])


def gather(d: Draw) -> Use:
    x = d.array(d.shape(1), d.one(*ANY))
    axis = d.axis(x.ndim)
    low = -x.shape[axis] if d.opset >= 11 else 0
    indices = d.array(d.shape(0, 3, 4), d.one("int64", "int32"), low, x.shape[axis] - 1)
    return d.made("Gather", [x, indices], d.maybe(axis=axis) if axis % x.ndim == 0 else {"axis": axis}, weights=[1])


def gather_elements(d: Draw) -> Use:
    x = d.array(d.shape(1, 4), d.one(*ANY))
    axis = d.axis(x.ndim)
    shape = [d.integer(1, size) for size in x.shape]
    indices = d.array(shape, d.one("int64", "int32"), -x.shape[axis], x.shape[axis] - 1)
    return d.made("GatherElements", [x, indices], {"axis": axis}, weights=[1])


def gather_nd(d: Draw) -> Use:
    x = d.array(d.shape(1, 4), d.one(*FLOATS, *INTEGERS))
    batch = d.integer(0, x.ndim - 1) if d.opset >= 12 and d.flag() else 0
    depth = d.integer(1, x.ndim - batch)
    least = min(x.shape[batch : batch + depth])
    indices = d.array((*x.shape[:batch], *d.shape(0, 2, 3), depth), "int64", -least, least - 1)
    return d.made("GatherND", [x, indices], {"batch_dims": batch} if batch else {}, weights=[1])


def _reduction(d: Draw) -> dict[str, Any]:
    if d.opset < 16:
        return {}
    return d.maybe(reduction=d.one("none", "add", "mul", *(("max", "min") if d.opset >= 18 else ())))


def scatter_elements(d: Draw) -> Use:
    kind, attributes = d.one(*FLOATS, "int32", "int64", "uint8"), _reduction(d)
    x = d.array(d.shape(1, 3), kind)
    axis = d.axis(x.ndim)
    shape = [d.integer(1, size) for size in x.shape]
    size = x.shape[axis]
    # One place is written once, unless what is written is combined.
    ranks = np.argsort(d.random.random((*shape[: axis % x.ndim], size, *shape[axis % x.ndim + 1 :])), axis=axis)
    indices = (
        np.take(ranks, np.arange(shape[axis]), axis=axis)
        if attributes.get("reduction", "none") == "none"
        else d.array(shape, "int64", 0, size - 1)
    )
    indices = np.where(d.array(indices.shape, "bool"), indices, indices - size).astype(d.one("int64", "int32"))
    op_type = "Scatter" if d.opset < 11 else "ScatterElements"
    if op_type == "Scatter":
        indices %= size
    return d.made(op_type, [x, indices, d.array(shape, kind)], {"axis": axis, **attributes}, weights=[1, 2])


def scatter_nd(d: Draw) -> Use:
    kind, attributes = d.one(*FLOATS, "int32", "int64", "bool"), _reduction(d)
    if kind == "bool":
        attributes.pop("reduction", None)
    x = d.array(d.shape(1, 4), kind)
    depth = d.integer(1, x.ndim)
    places = int(np.prod(x.shape[:depth]))
    count = d.integer(1, places)
    flat = d.random.permutation(places)[:count]
    if attributes.get("reduction", "none") != "none":
        flat = d.random.integers(0, places, count)
    indices = np.stack(np.unravel_index(flat, x.shape[:depth]), axis=-1).astype(np.int64)
    if d.flag(0.4):
        indices -= np.array(x.shape[:depth]) * d.array(indices.shape, "bool")
    return d.made("ScatterND", [x, indices, d.array((count, *x.shape[depth:]), kind)], attributes, weights=[1, 2])


def one_hot(d: Draw) -> Use:
    depth, kind = d.integer(1, 6), d.one("int64", "int64", "int64", "int32", "float32")
    low = -depth if d.opset >= 11 else 0
    indices = d.array(d.shape(0, 3), kind, low, depth - 1)
    indices = np.trunc(indices).astype(kind)
    values = d.one("float32", "float32", "int64", "int32", "bool")
    pair = np.array([0, 1] if values in ("bool", "uint8") else [d.integer(-2, 2), 7], values)
    size = np.array(depth if d.flag() else [depth], d.one("int64", "int64", "int32", "float32"))
    axis = d.axis(indices.ndim + 1) if d.flag() else -1
    return d.made(
        "OneHot", [indices, size, pair], {"axis": axis} if axis != -1 or d.flag() else {}, constants=[1], weights=[2]
    )


def trilu(d: Draw) -> Use:
    x = d.array((*d.shape(0, 2), d.integer(1, 6), d.integer(1, 6)), d.one(*FLOATS, "int64", "int32", "bool"))
    inputs = [x] if d.flag(0.3) else [x, np.array(d.integer(-4, 4))]
    return d.made("Trilu", inputs, d.maybe(upper=d.one(0, 1)), weights=[1])


def top_k(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float64", *(("int64", "int32") if d.opset >= 11 else ()))
    shape = d.shape(1, 4, 8)
    x = (d.random.permutation(int(np.prod(shape))) - 5).reshape(shape).astype(kind)
    axis = d.axis(x.ndim) if d.opset >= 11 else d.integer(0, x.ndim - 1)
    k = d.integer(1, x.shape[axis])
    attributes: dict[str, Any] = {"axis": axis} if axis % x.ndim != x.ndim - 1 or d.flag() else {}
    if d.opset < 10:
        return d.made("TopK", [x], {"k": k, **attributes}, outputs=2)
    if d.opset >= 11:
        attributes |= d.maybe(largest=d.one(0, 1), sorted=1)
    return d.made("TopK", [x, np.array([k])], attributes, constants=[1], outputs=2)


def eye_like(d: Draw) -> Use:
    x = d.array((d.integer(1, 5), d.integer(1, 5)), d.one("float32", "int32", "int64", "float64"))
    return d.made("EyeLike", [x], d.maybe(k=d.integer(-3, 3), dtype=d.one(1, 6, 7, 11)))


def shape_of(d: Draw) -> Use:
    x = d.array(d.shape(), d.one(*ANY))
    if d.flag(0.3):
        return d.made("Size", [x])
    bounds = d.maybe(start=d.integer(-3, 3), end=d.integer(-3, 4)) if d.opset >= 15 and x.ndim else {}
    return d.made("Shape", [x], bounds)


def tensor_scatter(d: Draw) -> Use:
    mode, size, length = d.one("linear", "circular"), d.integer(3, 6), d.integer(1, 3)
    cache, update = d.array((2, 3, size, 4)), d.array((2, 3, length, 4))
    start = d.array((2,), "int64", 0, size - length if mode == "linear" else size - 1)
    return d.made("TensorScatter", [cache, update, start] if d.flag(0.7) else [cache, update], d.maybe(mode=mode))


def center_crop_pad(d: Draw) -> Use:
    x = d.array(d.shape(1, 4, 7), "float32")
    axes = d.axes(x.ndim) if d.flag() else None
    size = np.array([d.integer(1, 8) for _ in (axes or x.shape)])
    return d.made("CenterCropPad", [x, size], {"axes": axes}, constants=[1])


GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{name: blocks(name) for name in ("DepthToSpace", "SpaceToDepth")},
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Identity": identity,
    "OneHot": one_hot,
    "Pad": pad,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Shape": shape_of,
    "Slice": cut,
    "Split": split,
    "Squeeze": squeeze,
    "TensorScatter": tensor_scatter,
    "Tile": tile,
    "TopK": top_k,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
