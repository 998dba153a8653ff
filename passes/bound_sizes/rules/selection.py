"""Operators whose result size depends on the data: selected elements go to the front, with their count beside them."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgec.passes.bound_sizes.facts import Fact, Interval, bounds_of
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import INT64, Site, Unbounded
from edgec.passes.bound_sizes.size import known


def non_zero(site: Site) -> None:
    """At most all elements are found; those in the padding are not."""
    x = site.filled(site.value(0), site.sizes(0), site.padded_axes(0), 0)
    bounds = site.bounds(0)
    rank, bound = max(len(bounds), 1), math.prod(bounds)
    indices, count = site.bounding.builder.function("NonZero", [x], [([rank, bound], INT64), ([1], INT64)])
    most = math.prod(max(size.most, 0) for size in site.sizes(0))
    size = site.sizes_math.count(count, 0, most)
    last = max((bound - 1 for bound in bounds), default=0)
    site.replace(0, indices, Fact((known(rank), size), interval=Interval(0, last), clean=True))


def compress(site: Site) -> None:
    """Take the positions at which the condition holds."""
    axis = site.attribute("axis")
    x, sizes = site.value(0), site.sizes(0)
    if axis is None:
        if any(size.terms for size in sizes[1:]):
            raise Unbounded("flattens axes whose size depends on the data")
        bound = math.prod(site.bounds(0))
        x = site.insert("Reshape", [x, site.constant([-1])], [bound], site.dtype(0))
        size, axis = sizes[0].times(math.prod(site.bounds(0)[1:])) if sizes else known(1), 0
        sizes = (size,)
    axis %= len(sizes)
    condition = site.filled(site.value(1), site.sizes(1), site.padded_axes(1), False)
    condition = site.slice(condition, 0, 0, min(site.bounds(1)[0], bounds_of(x)[axis]))
    places, count = site.places_of(condition)
    selected = site.sizes_math.count(count, 0, max(min(site.sizes(1)[0].most, sizes[axis].most), 0))
    true = (*sizes[:axis], selected, *sizes[axis + 1 :])
    site.replace(0, site.take(x, places, axis), Fact(true))


def non_max_suppression(site: Site) -> None:
    """For each class at most `max_output_boxes_per_class`, and not more than there are boxes."""
    batch, boxes, _ = site.bounds(0)
    classes = site.bounds(1)[1]
    if {0} & set(site.padded_axes(0)) or {0, 1} & set(site.padded_axes(1)):
        raise Unbounded("has a batch or classes whose number depends on the data")
    number = site.sizes(0)[1]
    bound = min(boxes, site.bounds(1)[2])
    if not site.has(2):
        most, limit = known(0), site.constant([0])
    else:
        (most,) = site.numbers_or_sizes(2, Interval(0, max(number.most, 0)))
        limit = _flat(site, 2)
    per_class = max(min(most.most, number.most), 0)
    whole = batch * classes * per_class
    overlap = _flat(site, 3) if site.has(3) else site.constant([0.0], ir.DataType.FLOAT)
    least = _flat(site, 4) if site.has(4) else None
    inputs = [site.slice(site.value(0), 1, 0, bound), site.slice(site.value(1), 2, 0, bound), limit, overlap, least]
    chosen, count = site.bounding.builder.function(
        "NonMaxSuppression",
        [*inputs, site.size_value(number)],
        [([whole, 3], INT64), ([1], INT64)],
        {"bound": whole, "center_point_box": int(site.attribute("center_point_box", 0))},
    )
    last = max(batch - 1, classes - 1, bound - 1, 0)
    size = site.sizes_math.count(count, 0, whole)
    site.replace(0, chosen, Fact((size, known(3)), interval=Interval(0, last), clean=True))


def _flat(site: Site, index: int) -> ir.Value:
    """Return input `index`, one number, as [1]."""
    value = site.value(index)
    return (
        value
        if site.bounds(index) == (1,)
        else site.insert("Reshape", [value, site.constant([1])], [1], site.dtype(index))
    )


def roi_align(site: Site) -> None:
    """Regions in the padding are left out."""
    if site.is_padded(0):
        raise Unbounded("has pictures whose size depends on the data")
    rois, size = site.value(1), site.sizes(1)[0]
    if not site.is_padded(1):
        size = site.sizes(2)[0]
    bound = min(site.bounds(1)[0], site.bounds(2)[0])
    height, width = site.attribute("output_height", 1), site.attribute("output_width", 1)
    inputs = [site.value(0), site.slice(rois, 0, 0, bound), site.slice(site.value(2), 0, 0, bound)]
    shape = [bound, site.bounds(0)[1], height, width]
    attributes = {
        "coordinate_transformation_mode": site.attribute("coordinate_transformation_mode", "half_pixel"),
        "mode": site.attribute("mode", "avg"),
        "output_height": height,
        "output_width": width,
        "sampling_ratio": site.attribute("sampling_ratio", 0),
        "spatial_scale": site.attribute("spatial_scale", 1.0),
    }
    (aligned,) = site.bounding.builder.function(
        "RoiAlign", [*inputs, site.size_value(size)], [(shape, site.dtype(0))], attributes
    )
    sizes = (size, *(known(extent) for extent in shape[1:]))
    site.replace(0, aligned, Fact(sizes, clean=True))


RULES: dict[str, Rule] = {
    "Compress": compress,
    "NonMaxSuppression": non_max_suppression,
    "NonZero": non_zero,
    "RoiAlign": roi_align,
}
