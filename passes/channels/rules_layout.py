"""Channels through operators that move, join, cut and reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant
from edgec.passes.channels.atoms import FIXED, Ids
from edgec.passes.channels.propagate import Axes, Propagation, fixed, rule


@rule("Transpose")
def transpose(found: Propagation, node: ir.Node) -> str | None:
    """Axes change places."""
    x = found.axes(node, 0)
    order = attribute(node, "perm") or tuple(reversed(range(len(x))))
    found.give(node, [x[axis] for axis in order])
    return None


@rule("Concat")
def concat(found: Propagation, node: ir.Node) -> str | None:
    """Joined along one axis, tied along the others."""
    parts = [found.axes(node, index) for index in range(len(node.inputs))]
    axis = attribute(node, "axis") % len(parts[0])
    result = list(parts[0])
    for part in parts[1:]:
        for other, ids in enumerate(part):
            if other != axis and len(ids) > 1:
                found.tie(node, result[other], ids)
    result[axis] = np.concatenate([part[axis] for part in parts])
    found.give(node, result)
    return None


@rule("Split")
def split(found: Propagation, node: ir.Node) -> str | None:
    """Cut along one axis; sizes are those of the outputs."""
    x = found.axes(node, 0)
    axis, start = attribute(node, "axis", 0) % len(x), 0
    for index, output in enumerate(node.outputs):
        size = output.shape.numpy()[axis] if output.shape is not None else 0
        found.give(node, [*x[:axis], x[axis][start : start + size], *x[axis + 1 :]], index)
        start += size
    return None


@rule("Slice")
def slice_(found: Propagation, node: ir.Node) -> str | None:
    """A range of indices of each axis named; steps other than 1 only along axes that stay."""
    ranges = slice_ranges(node)
    if ranges is None:
        return "cuts at places that are computed"
    result = list(found.axes(node, 0))
    for axis, part in ranges.items():
        if part.step not in (None, 1):
            found.fix(node, result[axis], "takes every other of them")
        result[axis] = result[axis][part]
    found.give(node, result)
    return None


def slice_ranges(node: ir.Node) -> dict[int, slice] | None:
    """Return axis -> range of a Slice node, or None if they are not constant."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    arrays = [None if value is None else constant(value) for value in node.inputs[1:]]
    given = [value is not None for value in node.inputs[1:]]
    if shape is None or any(there and array is None for there, array in zip(given, arrays, strict=True)):
        return None
    starts, ends, axes, steps = [*arrays, None, None][:4]
    if starts is None or ends is None:
        return None
    ranges = {}
    for position, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = int(axes[position]) % len(shape) if axes is not None else position
        step = int(steps[position]) if steps is not None else 1
        size = shape.numpy()[axis]
        # ONNX clamps like Python, but for a negative step an end below -size means "through the first element".
        last = None if step < 0 and end < -size else int(end)
        ranges[axis] = slice(int(start), last, step)
    return ranges


@rule("Gather")
def gather(found: Propagation, node: ir.Node) -> str | None:
    """Constant indices along one axis of x; a single index keeps what it takes."""
    indices = constant(node.inputs[1])
    if indices is None or constant(node.inputs[0]) is not None:
        return "takes elements at computed places"
    x = found.axes(node, 0)
    axis = attribute(node, "axis", 0) % len(x)
    if indices.ndim == 1:
        taken = [x[axis][indices]]
    else:
        found.fix(node, x[axis], "takes some of them")
        taken = [fixed(size) for size in indices.shape]
    found.give(node, [*x[:axis], *taken, *x[axis + 1 :]])
    return None


@rule("Pad")
def pad(found: Propagation, node: ir.Node) -> str | None:
    """Axes without padding pass."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    pads = constant(node.inputs[1])
    if pads is None or any(value is not None for value in node.inputs[3:]):
        return "pads by amounts that are computed"
    result = []
    for axis, size in enumerate(shape.numpy() if shape is not None else ()):
        if pads[axis] or pads[axis + len(x)]:
            found.fix(node, x[axis], "pads them")
            result.append(fixed(size))
        else:
            result.append(x[axis])
    found.give(node, result)
    return None


@rule("Expand")
def expand(found: Propagation, node: ir.Node) -> str | None:
    """Axes of unchanged size pass."""
    if constant(node.inputs[1]) is None:
        return "expands to a computed shape"
    x, shape = found.axes(node, 0), node.outputs[0].shape
    sizes = shape.numpy() if shape is not None else ()
    result = [fixed(size) for size in sizes]
    for axis in range(1, len(x) + 1):
        if len(x[-axis]) == sizes[-axis]:
            result[-axis] = x[-axis]
    found.give(node, result)
    return None


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(found: Propagation, node: ir.Node) -> str | None:
    """Axes are joined and cut; a channel that is cut in several is removed from all of them or from none."""
    shape = node.outputs[0].shape
    found.give(node, regroup(found, node, found.axes(node, 0), shape.numpy() if shape is not None else ()))
    return None


@rule("DepthToSpace")
def depth_to_space(found: Propagation, node: ir.Node) -> str | None:
    """The b * b channels that become one are removed together."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    block = attribute(node, "blocksize") ** 2
    rows = x[1].reshape(block, -1).T if attribute(node, "mode", "DCR") == "DCR" else x[1].reshape(-1, block)
    for ids in x[2:]:
        found.fix(node, ids, "moves them")
    made = found.tie_rows(node, rows)
    found.give(node, [x[0], made, *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


@rule("SpaceToDepth")
def space_to_depth(found: Propagation, node: ir.Node) -> str | None:
    """Every channel becomes b * b, all of which go with it."""
    x, shape = found.axes(node, 0), node.outputs[0].shape
    for ids in x[2:]:
        found.fix(node, ids, "moves them")
    made = np.tile(x[1], attribute(node, "blocksize") ** 2)
    found.give(node, [x[0], made, *(fixed(size) for size in (shape.numpy()[2:] if shape is not None else ()))])
    return None


def regroup(found: Propagation, node: ir.Node, axes: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes after a reshape to `shape`.

    Both shapes are cut into the shortest runs of axes with equal products; each run is looked at for itself.
    """
    result: Axes = [fixed(size) for size in shape]
    inner = [axis for axis, ids in enumerate(axes) if len(ids) > 1]
    outer = [axis for axis, size in enumerate(shape) if size > 1]
    while inner and outer:
        here, there = [inner.pop(0)], [outer.pop(0)]
        while (left := math.prod(len(axes[a]) for a in here)) != (right := math.prod(shape[a] for a in there)):
            if left < right:
                here.append(inner.pop(0))
            else:
                there.append(outer.pop(0))
        for axis, ids in zip(
            there, _regroup_run(found, node, [axes[a] for a in here], [shape[a] for a in there]), strict=True
        ):
            result[axis] = ids
    return result


def _regroup_run(found: Propagation, node: ir.Node, axes: Axes, shape: Sequence[int]) -> Axes:
    channels = [axis for axis, ids in enumerate(axes) if (ids != FIXED).any()]
    result: Axes = [fixed(size) for size in shape]
    if not channels:
        return result
    if len(channels) > 1:
        for axis in channels:
            found.fix(node, axes[axis], "joins two axes of channels")
        return result
    sizes = [len(ids) for ids in axes]
    only = channels[0]
    spread = axes[only].reshape([size if axis == only else 1 for axis, size in enumerate(sizes)])
    elements = np.broadcast_to(spread, sizes).reshape(shape)
    rows = [np.moveaxis(elements, axis, 0).reshape(size, -1) for axis, size in enumerate(shape)]
    carrier = _carrier(found, rows)
    result[carrier] = found.tie_rows(node, rows[carrier])
    return result


def _carrier(found: Propagation, rows: list[Ids]) -> int:
    """Return the axis along which the fewest channels must be tied; of equals the longest, then the last."""

    def cost(axis: int) -> tuple[bool, int, int]:
        roots = found.atoms.roots(rows[axis])
        return bool((roots != roots[:, :1]).any()), -len(roots), -axis

    return min(range(len(rows)), key=cost)
