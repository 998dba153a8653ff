"""Resize, one axis after the other: each output position is a weighted sum of a few input positions of the axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import relax, te, tirx

from edgec.model.graph import Array
from edgec.reference.session import Reference
from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, cast, dtype_of, shape_of, tensor

MOST_TAPS = 4
"""Maximum number of terms of a sum that is written out; longer ones (antialiasing) become a matrix product."""
SCHEDULED = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
"""Coordinate modes of linear interpolation that the schedule of `relax.image.resize2d` knows."""
CROP = "tf_crop_and_resize"


@dataclass(frozen=True)
class Axis:
    """One axis to be resized: its number, both sizes, and the factor (None: the quotient of the sizes)."""

    index: int
    size: int
    resized: int
    factor: float | None


def _resize(n: OnnxNode) -> Expr:
    mode, coordinates = n.attribute("mode", "nearest"), _coordinates(n)
    x, y = n.shape(0), n.output_shape
    factors = _factors(n)
    changed = [
        Axis(axis, x[axis], y[axis], factors[axis])
        for axis in range(len(x))
        if x[axis] != y[axis] or factors[axis] not in (None, 1.0) or coordinates == CROP
    ]
    if mode == "linear" and _is_scheduled(n, changed, coordinates):
        return relax.op.image.resize2d(
            n[0], relax.ShapeExpr(y[2:]), method="linear", coordinate_transformation_mode=coordinates
        )
    if mode == "nearest" and coordinates != CROP:
        return _nearest(n, changed)
    result = n[0] if dtype_of(n[0]) in ("float32", "float64") else n.emit(cast(n[0], "float32"))
    outside: list[tuple[Axis, Array]] = []
    for axis in changed:
        matrix = _matrix(n, axis, extrapolated=0.0)
        if coordinates == CROP:
            outside.append((axis, _matrix(n, axis, extrapolated=2.0)[:, 0] == 2))
        result = n.emit(_interpolated(n, result, matrix, axis.index))
    for axis, rows in outside:
        if rows.any():
            mask = tensor(rows.reshape([-1 if each == axis.index else 1 for each in range(len(x))]))
            value = tensor(n.attribute("extrapolation_value", 0.0), dtype_of(result))
            result = n.emit(relax.op.where(mask, value, result))
    return cast(result, n.dtype(0))


def _coordinates(n: OnnxNode) -> str:
    mode = str(n.attribute("coordinate_transformation_mode", "half_pixel"))
    x, y = n.shape(0), n.output_shape
    whole = all(f is None or size * f == m for size, f, m in zip(x, _factors(n), y, strict=True))
    return "half_pixel" if mode == "half_pixel_symmetric" and whole else mode


def _factors(n: OnnxNode) -> list[float | None]:
    """Return one scale factor per axis; None if only sizes are given: the factor is then their quotient."""
    rank, shape = n.rank(0), n.shape(0)
    axes = [axis % rank for axis in n.attribute("axes", range(rank))]
    factors: list[float | None] = [1.0] * rank
    scales = n.constant(2, "scales") if n.has(2) and 0 not in n.shape(2) else None
    policy = n.attribute("keep_aspect_ratio_policy", "stretch")
    if scales is not None:
        for axis, scale in zip(axes, scales.tolist(), strict=True):
            factors[axis] = float(scale)
        return factors
    for axis in axes:
        factors[axis] = None
    if policy != "stretch":
        quotients = [size / shape[axis] for axis, size in zip(axes, n.constant(3, "sizes").tolist(), strict=True)]
        factor = min(quotients) if policy == "not_larger" else max(quotients)
        if any(shape[axis] * factor != n.output_shape[axis] for axis in axes):
            raise Refused(f"with keep_aspect_ratio_policy {policy} to a size that differs from its scale factor")
    return factors


def _is_scheduled(n: OnnxNode, changed: list[Axis], coordinates: str) -> bool:
    """Return whether this is linear interpolation of a picture's rows and columns to the size the factors give."""
    picture = n.rank(0) == 4 and n.dtype(0) == "float32" and all(axis.index >= 2 for axis in changed)
    if not picture or coordinates not in SCHEDULED or n.attribute("antialias", 0):
        return False
    if coordinates == "align_corners":
        exact = True  # resize2d ignores the factors
    else:
        exact = all(axis.factor is None or axis.size * axis.factor == axis.resized for axis in changed)
    # With a single element, TVM would compute the distance to the next one.
    return exact and not any(axis.resized == 1 < axis.size for axis in changed)


def _nearest(n: OnnxNode, changed: list[Axis]) -> Expr:
    """Gather elements by index, or use resize2d for the one mode that the schedules support: rounding down."""
    chosen = [(axis, _matrix(n, axis, extrapolated=0.0).argmax(axis=1)) for axis in changed]
    down = all(np.array_equal(at, np.arange(a.resized) * a.size // a.resized) for a, at in chosen)
    if down and n.rank(0) == 4 and n.dtype(0) == "float32" and all(axis.index >= 2 for axis in changed):
        return relax.op.image.resize2d(
            n[0],
            relax.ShapeExpr(n.output_shape[2:]),
            method="nearest_neighbor",
            coordinate_transformation_mode="asymmetric",
            rounding_method="floor",
        )
    result = n[0]
    for axis, at in chosen:
        result = relax.op.take(result, tensor(at, "int64"), axis.index, mode="clip")
    return result


def _interpolated(n: OnnxNode, x: Expr, matrix: Array, axis: int) -> Expr:
    """Return `x` with its `axis` multiplied by `matrix` [resized, size]."""
    shape = shape_of(x)
    taps = int((matrix != 0).sum(axis=1).max(initial=1))
    if taps > MOST_TAPS:
        last = axis == len(shape) - 1
        moved = x if last else relax.op.permute_dims(x, _swapped(len(shape), axis))
        product = relax.op.matmul(moved, tensor(matrix.T, dtype_of(x)))
        return product if last else relax.op.permute_dims(product, _swapped(len(shape), axis))
    order = np.sort(np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps], axis=1)
    weights = np.take_along_axis(matrix, order, axis=1)
    resized = (*shape[:axis], len(matrix), *shape[axis + 1 :])

    def summed(data: te.Tensor, at: te.Tensor, weight: te.Tensor) -> te.Tensor:
        def element(*place: Any) -> Any:
            total = None
            for tap in range(taps):
                here = tirx.max(tirx.min(at[place[axis], tap], shape[axis] - 1), 0)
                term = data(*place[:axis], here, *place[axis + 1 :]) * weight[place[axis], tap]
                total = term if total is None else total + term
            return total

        return te.compute(resized, element, name="resized")

    return n.compute(summed, x, tensor(order, "int32"), tensor(weights, dtype_of(x)), name="resize_axis")


def _swapped(rank: int, axis: int) -> list[int]:
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    return order


def _matrix(n: OnnxNode, axis: Axis, extrapolated: float) -> Array:
    """Return the matrix [resized, size] by which the node maps one axis.

    ONNX Runtime computes it from the identity matrix, so that coordinates half-way are rounded as in the reference.
    A second axis of one element becomes two, because ONNX Runtime skips a Resize that changes no size.
    """
    own = ("axes", "keep_aspect_ratio_policy", "extrapolation_value")
    attributes = [each for each in n.node.attributes.values() if each.name not in own]
    attributes.append(ir.AttrFloat32("extrapolation_value", extrapolated))
    size, feeds = axis.size, {"x": np.eye(axis.size, dtype=np.float32).reshape(1, axis.size, 1, axis.size)}
    if n.attribute("coordinate_transformation_mode") == CROP:
        feeds["roi"] = _region(n, axis.index)
    if axis.factor is None:
        feeds["sizes"] = np.array([1, size, 2, axis.resized], np.int64)
    else:
        feeds["scales"] = np.array([1.0, 1.0, 2.0, axis.factor], np.float32)
    values = {
        name: ir.val(name, ir.DataType.from_numpy(array.dtype), list(array.shape)) for name, array in feeds.items()
    }
    inputs = [values.get(name) for name in ("x", "roi", "scales", "sizes")]
    output = ir.val("y", ir.DataType.FLOAT, [1, size, 2, axis.resized])
    single = ir.Node("", "Resize", inputs, attributes, outputs=[output])
    graph = ir.Graph(list(values.values()), [output], nodes=[single], opset_imports={"": n.opset}, name="axis")
    proto = ir.to_proto(ir.Model(graph, ir_version=8))
    columns = Reference(proto.SerializeToString()).run(feeds)["y"]
    return np.ascontiguousarray(np.asarray(columns, np.float32)[0, :, 0].T)


def _region(n: OnnxNode, axis: int) -> Array:
    """Return the cropped part of `axis`, as the roi of the Resize that `_matrix` runs."""
    roi = n.constant(1, "roi").astype(np.float32) if n.has(1) else np.zeros(0, np.float32)
    axes = [each % n.rank(0) for each in n.attribute("axes", range(n.rank(0)))]
    if axis not in axes or roi.size == 0:
        return np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
    at = axes.index(axis)
    return np.array([0, 0, 0, roi[at], 1, 1, 1, roi[len(axes) + at]], np.float32)


CONVERTERS: dict[str, Converter] = {"Resize": _resize}
