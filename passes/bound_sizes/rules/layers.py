"""Layers: items of the batch, and rows of products, are computed separately, padded ones like all others."""

from __future__ import annotations

import onnx_ir as ir

from edgec.passes.bound_sizes.broadcast import broadcast, equal_axes
from edgec.passes.bound_sizes.facts import Fact, bounds_of, sizes_of
from edgec.passes.bound_sizes.infer import infer_outputs
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import Site, Unbounded
from edgec.passes.bound_sizes.size import Size

BATCHED = [
    "AffineGrid",
    "AveragePool",
    "BatchNormalization",
    "Col2Im",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GridSample",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "SpaceToDepth",
]
ALONG_AXIS = {"LayerNormalization": -1, "RMSNormalization": -1, "LpNormalization": -1}
"""Operators over the axes from `axis` on, and the axis by default."""


def batched(site: Site) -> None:
    """Leave the node if only the first axis is padded: each item of the batch is computed separately."""
    present = [index for index, value in enumerate(site.node.inputs) if value is not None]
    padded = [index for index in present if site.is_padded(index)]
    if not padded:
        raise Unbounded("has a size without an upper bound")
    for index in padded:
        if site.padded_axes(index) != [0]:
            raise Unbounded("slides over an axis whose size depends on the data")
    for index, value in zip(padded, equal_axes(site, [site.value(index) for index in padded], [0]), strict=True):
        site.set_input(index, value)
    _keep_with(site, {0: site.sizes(padded[0])[0]})


def normalized(site: Site) -> None:
    """Leave the node if no axis that it normalizes over is padded."""
    rank = site.rank(0)
    first = site.axis(ALONG_AXIS[site.node.op_type])
    over = range(first, rank) if site.node.op_type != "LpNormalization" else [first]
    if set(over) & set(site.padded_axes(0)):
        raise Unbounded("normalizes over an axis whose size depends on the data")
    _keep_with(site, dict(enumerate(site.sizes(0))))


def mean_variance(site: Site) -> None:
    """The same of MeanVarianceNormalization, which lists its axes."""
    if {axis % site.rank(0) for axis in site.attribute("axes", (0, 2, 3))} & set(site.padded_axes(0)):
        raise Unbounded("normalizes over an axis whose size depends on the data")
    _keep_with(site, dict(enumerate(site.sizes(0))))


def _keep_with(site: Site, sizes: dict[int, Size]) -> None:
    """Keep the node with the shapes that ONNX infers; true sizes of axes of the outputs are `sizes`."""
    outputs = []
    for bounds in infer_outputs(site):
        true = list(sizes_of(bounds))
        for axis, size in sizes.items():
            if axis < len(true) and true[axis].known != 1:
                true[axis] = size
        outputs.append((bounds, Fact(tuple(true))))
    site.keep(*outputs)


def matmul(site: Site) -> None:
    """Set the padding of the summed axis to zero, in both operands: it could be NaN."""
    a, b = site.value(0), site.value(1)
    vector_a, vector_b = site.rank(0) == 1, site.rank(1) == 1
    axis_a, axis_b = site.rank(0) - 1, 0 if vector_b else site.rank(1) - 2
    a, b = _without_padding(site, a, axis_a), _without_padding(site, b, axis_b)
    bound = min(bounds_of(a)[axis_a], bounds_of(b)[axis_b])
    a, b = site.cut(a, axis_a, bound), site.cut(b, axis_b, bound)
    rows = [] if vector_a else [(bounds_of(a)[-2], site.facts[a].sizes[-2])]
    columns = [] if vector_b else [(bounds_of(b)[-1], site.facts[b].sizes[-1])]
    bounds: tuple[int, ...] = ()
    sizes: tuple[Size, ...] = ()
    if not vector_a and not vector_b:
        aligned = broadcast(site, [a, b], trailing=2)
        (a, b), bounds, sizes = aligned.values, aligned.bounds, aligned.sizes
    elif not (vector_a and vector_b):
        batch = b if vector_a else a
        bounds, sizes = bounds_of(batch)[:-2], site.facts[batch].sizes[:-2]
    site.set_input(0, a)
    site.set_input(1, b)
    ends = [*rows, *columns]
    site.keep(((*bounds, *(bound for bound, _ in ends)), Fact((*sizes, *(size for _, size in ends)))))


def gemm(site: Site) -> None:
    """As matmul; the bias broadcasts to the rows."""
    a, b = site.value(0), site.value(1)
    summed_a, summed_b = (0 if site.attribute("transA", 0) else 1), (1 if site.attribute("transB", 0) else 0)
    a, b = _without_padding(site, a, summed_a), _without_padding(site, b, summed_b)
    bound = min(bounds_of(a)[summed_a], bounds_of(b)[summed_b])
    a, b = site.cut(a, summed_a, bound), site.cut(b, summed_b, bound)
    bounds = (bounds_of(a)[1 - summed_a], bounds_of(b)[1 - summed_b])
    sizes = (site.facts[a].sizes[1 - summed_a], site.facts[b].sizes[1 - summed_b])
    if site.is_padded(2):
        bias, fact = site.value(2), site.fact(2)
        for axis in range(-len(bounds_of(bias)), 0):
            if fact.sizes[axis].known != 1:
                if fact.sizes[axis] != sizes[axis]:
                    raise Unbounded("adds a bias whose size depends on the data in another way")
                bias = site.cut(bias, axis % len(bounds_of(bias)), min(bounds[axis], bounds_of(bias)[axis]))
        site.set_input(2, bias)
        if any(have not in (1, want) for have, want in zip(bounds_of(bias)[::-1], bounds[::-1], strict=False)):
            raise Unbounded("adds a bias that is padded to another size")
    site.set_input(0, a)
    site.set_input(1, b)
    site.keep((bounds, Fact(sizes)))


def _without_padding(site: Site, value: ir.Value, axis: int) -> ir.Value:
    fact = site.facts[value]
    if fact.sizes[axis].known is not None or (fact.clean and len([s for s in fact.sizes if s.terms]) == 1):
        return value
    filled = site.filled(value, fact.sizes, [axis], 0)
    site.facts[filled] = fact
    return filled


RULES: dict[str, Rule] = {
    **dict.fromkeys(BATCHED, batched),
    **dict.fromkeys(ALONG_AXIS, normalized),
    "MeanVarianceNormalization": mean_variance,
    "MatMul": matmul,
    "Gemm": gemm,
}
