"""The pass that gives static shapes to networks whose sizes depend on the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.errors import UnsupportedModel
from edgec.model.graph import is_static, label, unique_name
from edgec.model.true_sizes import TrueSizes, write_true_sizes
from edgec.passes.base import Pass, PassReport
from edgec.passes.bound_sizes.branches import choose, inline, is_decided, results_of, take
from edgec.passes.bound_sizes.elements import elements_of
from edgec.passes.bound_sizes.facts import Fact, bounds_of, sizes_of
from edgec.passes.bound_sizes.infer import infer_outputs
from edgec.passes.bound_sizes.intervals import intervals_of
from edgec.passes.bound_sizes.loops import bound_loop
from edgec.passes.bound_sizes.rules.table import RULES
from edgec.passes.bound_sizes.site import Bounding, Site, Unbounded
from edgec.passes.bound_sizes.size import Size
from edgec.passes.canonicalize import Canonicalize

REMEDY = "Export the network up to this node only, or with sizes that do not depend on the data."


class BoundSizes(Pass):
    """Pad tensors whose size depends on the data to the largest possible size, and compute the true size beside them.

    The valid elements of a padded axis are its first ones. Every operator has a rule for such axes: most leave them
    alone, reductions mask them, joins close the gaps. Outputs are padded; their true sizes become further outputs, and
    `edgec.model.true_sizes` says which belongs to which axis. The elements within the true sizes are exactly the same.
    The result is not in canonical form.
    """

    name = "bound_sizes"
    tolerance = 1e-5

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place, if a shape in it is open.

        Raises:
            UnsupportedModel: A size has no bound, or an operator has no rule for padded axes; names node and operator.
        """
        if all(is_static(value) for node in model.graph for value in node.outputs if value.name):
            return PassReport(model, False)
        bounding = Bounding(model)
        _walk(list(model.graph), bounding)
        changes = _tell_sizes(model, bounding)
        RemoveUnusedNodesPass()(model)
        return PassReport(Canonicalize(self.profile)(model).model, True, changes)


def _walk(nodes: Iterable[ir.Node], bounding: Bounding) -> None:
    for node in nodes:
        bounding.builder.before = node
        site = Site(node, bounding)
        try:
            if node.domain == "" and node.op_type in CONTROL_FLOW:
                CONTROL_FLOW[node.op_type](site)
            else:
                _bound(site)
        except Unbounded as reason:
            raise UnsupportedModel(f"{node.op_type} node {label(node)!r} {reason}", remedy=REMEDY) from reason


def _bound(site: Site) -> None:
    node = site.node
    elements, intervals = elements_of(site), intervals_of(site)
    padded = any(site.is_padded(index) for index in range(len(node.inputs)))
    if padded or not all(is_static(value) for value in node.outputs if value.name):
        bounds = None if padded else _inferred(site)
        if bounds is not None:
            site.keep(*[(shape, Fact(sizes_of(shape), clean=True)) for shape in bounds])
        elif node.domain == "" and node.op_type in RULES:
            RULES[node.op_type](site)
        else:
            raise Unbounded("has sizes that depend on the data, which edgec does not support for this operator")
    site.complete(elements, intervals)


def _inferred(site: Site) -> list[tuple[int, ...]] | None:
    """Return the shapes of the outputs if they do not depend on the data in the end."""
    try:
        return infer_outputs(site)
    except Unbounded:
        if site.node.op_type in RULES:
            return None
        raise


def _resolve_branches(site: Site) -> None:
    node, bounding = site.node, site.bounding
    decided = is_decided(site)
    results = []
    for branch in ("then_branch", "else_branch"):
        if decided is not None and decided != (branch == "then_branch"):
            continue
        nodes, reader = inline(node, branch, bounding)
        _walk(nodes, bounding)
        results.append(results_of(reader))
    bounding.builder.before = node
    if len(results) == 1:
        take(site, results[0])
    else:
        choose(site, *results)


def _tell_sizes(model: ir.Model, bounding: Bounding) -> tuple[str, ...]:
    """Make the true sizes of the outputs further outputs; return sentences on them."""
    graph = model.graph
    axes: dict[str, dict[int, str]] = {}
    counts: dict[Size, ir.Value] = {}
    changes: list[str] = []
    bounding.builder.before = None
    for value in list(graph.outputs):
        sizes = bounding.facts[value].sizes
        for axis, size in enumerate(sizes):
            if size.known is not None:
                continue
            if size not in counts:
                name = unique_name(graph, f"{value.name}_size_{axis}")
                told = bounding.builder.node("Identity", [bounding.arithmetic.value(size)], [1], ir.DataType.INT64)
                told.name = name
                counts[size] = told
            axes.setdefault(value.name or "", {})[axis] = counts[size].name or ""
            changes.append(f"output {value.name}: {bounds_of(value)[axis]} places on axis {axis}, its size beside it")
    graph.outputs.extend(counts.values())
    write_true_sizes(model, TrueSizes(counts=tuple(value.name or "" for value in counts.values()), axes=axes))
    return tuple(changes)


CONTROL_FLOW: dict[str, Callable[[Site], None]] = {
    "If": _resolve_branches,
    "Loop": lambda site: bound_loop(site, _walk),
}
