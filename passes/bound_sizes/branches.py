"""`If` without control flow: the executed branch or, if the data decides, both, and a selection of the results."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of
from edgec.model.graph import attribute
from edgec.passes.bound_sizes.facts import Fact, bounds_of
from edgec.passes.bound_sizes.site import BOOL, Bounding, Site, Unbounded, dtype_of
from edgec.passes.bound_sizes.size import Size


def inline(node: ir.Node, branch: str, bounding: Bounding) -> tuple[list[ir.Node], ir.Node]:
    """Move the nodes of a branch of the If `node` in front of it.

    Returns:
        The nodes, and one more that reads the branch's results, to be removed when they are known.
    """
    body: ir.Graph = attribute(node, branch)
    graph, name = graph_of(node), bounding.builder.name
    results = list(body.outputs)
    body.outputs.clear()
    for value in list(body.initializers.values()):
        del body.initializers[value.name or ""]
        value.name = name(value.name or "branch")
        bounding.builder.graph.register_initializer(value)
    nodes = list(body)
    for each in nodes:
        body.remove(each)
        each.name = name(each.name or each.op_type)
        for output in each.outputs:
            if output.name:
                output.name = name(output.name)
        graph.insert_before(node, each)
    reader = ir.node("Sequence", results, name=name("branch"))
    graph.insert_before(node, reader)
    return nodes, reader


def results_of(reader: ir.Node) -> list[ir.Value]:
    """Remove the node that `inline` added; return the values that it reads: the results as the rules left them."""
    results = [value for value in reader.inputs if value is not None]
    graph_of(reader).remove(reader, safe=True)
    return results


def take(site: Site, results: list[ir.Value]) -> None:
    """Replace the outputs by the results of the executed branch."""
    for index, value in enumerate(results):
        site.replace(index, site.own(value), site.facts[value])


def choose(site: Site, taken: list[ir.Value], otherwise: list[ir.Value]) -> None:
    """Select at run time, output by output, between the results of both branches."""
    condition = site.value(0)
    if bounds_of(condition) != ():
        condition = site.insert("Reshape", [condition, site.constant(np.zeros(0, np.int64))], [], BOOL)
    for index, (a, b) in enumerate(zip(taken, otherwise, strict=True)):
        first, second = site.facts[a], site.facts[b]
        if len(first.sizes) != len(second.sizes) or dtype_of(a) != dtype_of(b):
            raise Unbounded("has branches with results of different rank or type, and the data decides between them")
        sizes = tuple(site.sizes_math.choose(condition, s, t) for s, t in zip(first.sizes, second.sizes, strict=True))
        fact = Fact(sizes)
        if 0 in bounds_of(a) or 0 in bounds_of(b):  # no element of the empty one is ever valid
            site.replace(index, site.own(b if 0 in bounds_of(a) else a), fact)
            continue
        bounds = [max(pair) for pair in zip(bounds_of(a), bounds_of(b), strict=True)]
        site.replace(index, site.where(condition, _grown(site, a, bounds), _grown(site, b, bounds)), fact)


def _grown(site: Site, value: ir.Value, bounds: list[int]) -> ir.Value:
    """Return `value` with more padding, up to the shape `bounds`."""
    lack = [want - have for want, have in zip(bounds, bounds_of(value), strict=True)]
    if not any(lack):
        return value
    return site.insert("Pad", [value, site.constant([0] * len(lack) + lack)], bounds, dtype_of(value))


def is_decided(site: Site) -> bool | None:
    """Return whether the condition of the If holds, if it does not depend on the data, else None."""
    elements = site.fact(0).elements
    number: Size | None = None if elements is None or elements.size != 1 else elements.flat[0]
    return None if number is None or number.known is None else bool(number.known)
