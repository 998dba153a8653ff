"""`Loop` whose number of iterations depends on the data: it runs the maximum number, and the surplus does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of
from edgec.model.graph import attribute, scalar
from edgec.passes.bound_sizes.broadcast import equal_axes
from edgec.passes.bound_sizes.facts import Fact, Interval, bounds_of
from edgec.passes.bound_sizes.site import BOOL, INT64, Bounding, Site, Unbounded, dtype_of
from edgec.passes.bound_sizes.size import Size, known

Walk = Callable[[Iterable[ir.Node], Bounding], None]
"""Gives nodes static shapes."""


@dataclass(frozen=True)
class _Stacked:
    """A result that grows in each iteration along `axis`; `start` is its value before the first one.

    Results that a Loop collects by itself have no start: they grow along a new first axis.
    """

    output: int
    axis: int = 0
    start: ir.Value | None = None


def bound_loop(site: Site, walk: Walk) -> None:
    """Give the body static shapes; results that it joins to earlier values become collected ones.

    Raises:
        Unbounded: The end is computed in the body, or a result changes its size in another way.
    """
    body: ir.Graph = attribute(site.node, "body")
    turns, made, bounding = _turns(site, body), site.sizes_math.made, site.bounding
    carried, stacked = _sorted(site, body)
    with bounding.scope():
        _describe_inputs(site, body, carried, turns)
        walk(list(body), bounding)
    results = [_outer(bounding.facts[value], each, site, made) for value, each in _kinds(body, stacked)]
    for index in carried:
        if bounds_of(body.outputs[1 + index]) != site.bounds(2 + index):
            raise Unbounded("has a result that changes its size from iteration to iteration")
    bounding.builder.before = site.node
    order = [*carried, *(each.output for each in stacked)]
    loop = _rebuilt(site, body, carried, order, turns)
    for value, index in zip(loop.outputs, carried, strict=False):
        site.replace(index, value, site.fact(2 + index))
    for value, each in zip(loop.outputs[len(carried) :], stacked, strict=True):
        _put_together(site, value, each, results[1 + each.output], turns)


def _kinds(body: ir.Graph, stacked: list[_Stacked]) -> Iterable[tuple[ir.Value, _Stacked | None]]:
    of = {1 + each.output: each for each in stacked}
    return [(value, of.get(at)) for at, value in enumerate(body.outputs)]


def _outer(fact: Fact, stacked: _Stacked | None, site: Site, made: int) -> Fact:
    """Return the fact of a result of the body as seen from outside: of sizes made in the body, nothing is known there.

    What a result is joined to has the same size on the other axes.
    """
    sizes = list(fact.sizes)
    if stacked is not None and stacked.start is not None:
        start = site.facts[stacked.start].sizes
        sizes = [size if at == stacked.axis else one for at, (size, one) in enumerate(zip(sizes, start, strict=True))]
    if any(count.order > made for size in sizes for count, _ in size.terms):
        raise Unbounded("has a result whose size differs from iteration to iteration")
    return Fact(tuple(sizes))


def _turns(site: Site, body: ir.Graph) -> Size:
    """Return the number of iterations."""
    begins = site.fact(1).elements if site.has(1) else None
    if site.has(1) and (begins is None or not begins.flat[0].known):
        raise Unbounded("has a first condition that depends on the data")
    stays = body.outputs[0]
    while (producer := stays.producer()) is not None and producer.op_type == "Identity":
        source = producer.inputs[0]
        assert source is not None
        stays = source
    if stays is not body.inputs[1] and not scalar(stays):
        raise Unbounded("ends on a condition that is computed in its body")
    if not site.has(0):
        raise Unbounded("has no maximum number of iterations")
    (turns,) = site.numbers_or_sizes(0)
    return site.sizes_math.maximum([turns, known(0)])


def _sorted(site: Site, body: ir.Graph) -> tuple[list[int], list[_Stacked]]:
    """Return which outputs are carried from iteration to iteration unchanged in size, and which grow.

    What the latter are joined to is cut off: the body then returns what is new in each turn.
    """
    carried, stacked = [], []
    count = len(site.node.inputs) - 2
    for index in range(count):
        join = _join_of(body, index)
        if join is None:
            carried.append(index)
            continue
        axis = attribute(join, "axis") % site.rank(2 + index)
        stacked.append(_Stacked(index, axis, site.value(2 + index)))
        body.outputs[1 + index] = _rest_of(site, join)
        body.remove(join, safe=True)
    stacked += [_Stacked(index) for index in range(count, len(site.node.outputs))]
    return carried, stacked


def _join_of(body: ir.Graph, index: int) -> ir.Node | None:
    """Return the Concat that puts something behind the carried value `index`, which nothing else reads; else None."""
    before, after = body.inputs[2 + index], body.outputs[1 + index]
    join = after.producer()
    if join is None or join.op_type != "Concat" or join.inputs[0] is not before or after.uses():
        return None
    return join if len(before.uses()) == 1 and len(join.inputs) > 1 else None


def _rest_of(site: Site, join: ir.Node) -> ir.Value:
    rest = join.inputs[1:]
    op_type, attributes = ("Identity", {}) if len(rest) == 1 else ("Concat", {"axis": attribute(join, "axis")})
    new = ir.node(op_type, rest, attributes, name=site.bounding.builder.name("bound_new"))
    new.outputs[0].name, new.outputs[0].type = site.bounding.builder.name("bound_new"), join.outputs[0].type
    graph_of(join).insert_before(join, new)
    return new.outputs[0]


def _describe_inputs(site: Site, body: ir.Graph, carried: list[int], turns: Size) -> None:
    facts = site.facts
    for value, dtype, interval in (
        (body.inputs[0], INT64, Interval(0, max(turns.most - 1, 0))),
        (body.inputs[1], BOOL, Interval(0, 1)),
    ):
        value.shape, value.type = ir.Shape([]), ir.TensorType(dtype)
        facts[value] = Fact((), interval=interval)
    for index in carried:
        inner = body.inputs[2 + index]
        inner.shape, inner.type = ir.Shape(site.bounds(2 + index)), site.value(2 + index).type
        facts[inner] = Fact(site.sizes(2 + index))


def _rebuilt(site: Site, body: ir.Graph, carried: list[int], order: list[int], turns: Size) -> ir.Node:
    """Insert a Loop of as many turns as there can be, with the outputs in the given order; return it."""
    name, most = site.bounding.builder.name, max(turns.most, 0)
    number, goes_on, *states = body.inputs[0], body.inputs[1], *(body.inputs[2 + index] for index in carried)
    results = [body.outputs[1 + index] for index in order]
    body.inputs.clear()
    body.outputs.clear()
    nodes = list(body)
    body.remove(nodes)
    if turns.known is None:
        nodes, results = _guarded(site, nodes, results, states, number, turns)
    stays = ir.node("Identity", [goes_on], name=name("bound_goes_on"))
    stays.outputs[0].name = name("bound_goes_on")
    stays.outputs[0].shape, stays.outputs[0].type = ir.Shape([]), ir.TensorType(BOOL)
    graph = ir.Graph(
        [number, goes_on, *states], [stays.outputs[0], *results], nodes=[*nodes, stays], name=name("bound_body")
    )
    inputs = [site.constant(most), site.constant(True, BOOL), *(site.value(2 + index) for index in carried)]
    loop = ir.Node(
        "", "Loop", inputs, [ir.AttrGraph("body", graph)], num_outputs=len(results), name=site.node.name
    )  # fmt: skip
    for at, (value, result) in enumerate(zip(loop.outputs, results, strict=True)):
        value.name, value.type = name("bound_Loop_output"), result.type
        value.shape = ir.Shape(bounds_of(result) if at < len(carried) else [most, *bounds_of(result)])
    graph_of(site.node).insert_before(site.node, loop)
    return loop


def _guarded(
    site: Site, nodes: list[ir.Node], results: list[ir.Value], states: list[ir.Value], number: ir.Value, turns: Size
) -> tuple[list[ir.Node], list[ir.Value]]:
    """Put `nodes` under an If that lets them run while there are turns; return the nodes and results that replace them.

    After that the states stay as they are, and what is collected is zero.
    """
    name = site.bounding.builder.name

    def made(op_type: str, inputs: list[ir.Value], shape: Sequence[int], dtype: ir.DataType) -> ir.Node:
        node = ir.node(op_type, inputs, name=name(f"bound_{op_type}"))
        value = node.outputs[0]
        value.name, value.shape, value.type = name(f"bound_{op_type}"), ir.Shape(shape), ir.TensorType(dtype)
        return node

    scalar_shape = site.constant(np.zeros(0, np.int64))
    last = made("Reshape", [site.size_value(turns), scalar_shape], [], INT64)
    runs = made("Less", [number, last.outputs[0]], [], BOOL)
    surplus = []
    for at, result in enumerate(results):
        shape, dtype = bounds_of(result), dtype_of(result)
        if at < len(states):
            surplus.append(made("Identity", [states[at]], shape, dtype))
        else:
            surplus.append(made("Expand", [site.constant(0, dtype), site.constant(shape)], shape, dtype))
    turn = ir.Graph([], results, nodes=nodes, name=name("bound_turn"))
    nothing = ir.Graph([], [each.outputs[0] for each in surplus], nodes=surplus, name=name("bound_surplus"))
    branches = [ir.AttrGraph("then_branch", turn), ir.AttrGraph("else_branch", nothing)]
    guard = ir.Node("", "If", [runs.outputs[0]], branches, num_outputs=len(results), name=name("bound_If"))
    for value, result in zip(guard.outputs, results, strict=True):
        value.name, value.shape, value.type = name("bound_If"), result.shape, result.type
    return [last, runs, guard], list(guard.outputs)


def _put_together(site: Site, value: ir.Value, each: _Stacked, inner: Fact, turns: Size) -> None:
    """Replace an output by what was collected, `value` [turns, ...], in the form the Loop gave it."""
    if each.start is None:
        site.replace(each.output, value, Fact((turns, *inner.sizes)))
        return
    axis, start = each.axis, site.facts[each.start]
    step, before = inner.sizes[axis].known, start.sizes[axis].known
    if step is None or before is None:
        raise Unbounded("joins parts whose size depends on the data")
    bounds, rank, dtype = bounds_of(value), len(inner.sizes), dtype_of(value)
    order = [*range(1, axis + 1), 0, *range(axis + 1, rank + 1)]
    if axis:
        value = site.insert("Transpose", [value], [bounds[at] for at in order], dtype, {"perm": order})
    shape = list(bounds[1:])
    shape[axis] *= bounds[0]
    value = site.insert("Reshape", [value, site.constant(shape)], shape, dtype)
    sizes = list(inner.sizes)
    sizes[axis] = turns.times(step) + known(before)
    if before:
        first, value = equal_axes(site, [each.start, value], [at for at in range(rank) if at != axis])
        shape = list(bounds_of(value))
        shape[axis] += before
        value = site.insert("Concat", [first, value], shape, dtype, {"axis": axis})
    site.replace(each.output, value, Fact(tuple(sizes)))
