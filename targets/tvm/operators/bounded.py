"""Operators of the domain `edgec`: selections padded to a fixed size, each with the number of selected elements."""

from __future__ import annotations

import math

from tvm import relax, te

from edgec.targets.tvm.kernels.non_max_suppression import non_max_suppression
from edgec.targets.tvm.kernels.non_zero import non_zero
from edgec.targets.tvm.kernels.roi_align import roi_align
from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, tensor

COUNT = ((1,), "int64")


def _valid(n: OnnxNode) -> Expr:
    def below(count: te.Tensor) -> te.Tensor:
        return te.compute(n.output_shape, lambda i: i.astype("int64") < count[0], name="valid")

    return n.compute(below, n[0], name="valid")


def _non_zero(n: OnnxNode) -> list[Expr]:
    shape = n.shape(0)
    flat = n.emit(relax.op.reshape(n[0], (math.prod(shape),)))
    return n.call(non_zero(shape, n.dtype(0)), [flat], [(n.output_shape, "int64"), COUNT], "non_zero")


def _non_max_suppression(n: OnnxNode) -> list[Expr]:
    (batch, boxes, _), classes = n.shape(0), n.shape(1)[1]
    per_class = n.output_shape[0] // max(batch * classes, 1)
    centre = bool(n.attribute("center_point_box", 0))
    kernel = non_max_suppression(batch, classes, boxes, per_class, has_threshold=n.has(4), centre=centre)
    scores = n.emit(relax.op.reshape(n[1], (batch * classes, boxes)))
    threshold = n[4] if n.has(4) else tensor([0], "float32")
    arguments = [n[0], scores, n[2], n[3], threshold, n[5]]
    return n.call(kernel, arguments, [(n.output_shape, "int64"), COUNT], "non_max_suppression")


def _roi_align(n: OnnxNode) -> list[Expr]:
    regions, _, *bins = n.output_shape
    kernel = roi_align(
        n.shape(0),
        regions,
        bins,
        ratio=n.attribute("sampling_ratio", 0),
        scale=n.attribute("spatial_scale", 1.0),
        half_pixel=n.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel",
        largest=n.attribute("mode", "avg") == "max",
    )
    return n.call(kernel, n.inputs, [(n.output_shape, "float32")], "roi_align")


CONVERTERS: dict[str, Converter] = {
    "edgec::NonMaxSuppression": _non_max_suppression,
    "edgec::NonZero": _non_zero,
    "edgec::RoiAlign": _roi_align,
    "edgec::Valid": _valid,
}
