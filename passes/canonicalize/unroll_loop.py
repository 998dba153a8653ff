"""Unroll a Loop whose number of iterations is known."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, insert_before
from edgec.model.graph import add_constant, attribute, constant, label, replace_uses, scalar
from edgec.passes.canonicalize.rule import Outcome, Refused, rule

MOST_NODES = 2048
"""What a Loop may grow to; code that repeats a large body often is better left a loop."""


@rule("Loop")
def unroll_loop(node: ir.Node) -> Outcome:
    """Before: Loop with constant trip count and a condition that stays true. After: its body, once per iteration.

    Values that are collected over the iterations are stacked by Unsqueeze and Concat. Exact.
    """
    body: ir.Graph = attribute(node, "body")
    trips = _trips(node, body)
    if isinstance(trips, str):
        return Refused(f"not unrolled: {trips}")
    carried = list(node.inputs[2:])
    collected: list[list[ir.Value]] = [[] for _ in node.outputs[len(carried) :]]
    if (collected and trips == 0) or trips * len(body) > MOST_NODES:
        return Refused(f"not unrolled: {trips} iterations of {len(body)} nodes")
    done = f"{label(node)}: Loop of {trips} iterations unrolled"
    for iteration in range(trips):
        results = _instantiate(node, body, iteration, carried)
        carried = list(results[: len(carried)])
        for stack, value in zip(collected, results[len(carried) :], strict=True):
            stack.append(value)
    final = [*carried, *(_stacked(node, values) for values in collected)]
    for old, new in zip(node.outputs, final, strict=True):
        if new is not None:
            replace_uses(old, new)
    graph_of(node).remove(node, safe=True)
    return done


def _trips(node: ir.Node, body: ir.Graph) -> int | str:
    """Return the number of iterations, or why it is unknown."""
    count, condition = node.inputs[0], node.inputs[1]
    if condition is not None and constant(condition) is None:
        return "its first condition is computed"
    if condition is not None and not scalar(condition):
        return 0
    stays = body.outputs[0]
    while (
        (producer := stays.producer()) is not None and producer.op_type == "Identity" and producer.inputs[0] is not None
    ):
        stays = producer.inputs[0]
    if stays is not body.inputs[1] and not scalar(stays):
        return "its condition is computed in each iteration"
    trips = scalar(count)
    return "its trip count is computed" if trips is None else max(int(trips), 0)


def _instantiate(node: ir.Node, body: ir.Graph, iteration: int, carried: list[ir.Value | None]) -> list[ir.Value]:
    """Insert a copy of `body` in front of `node` and return its outputs without the condition."""
    graph, stem = graph_of(node), node.outputs[0].name or node.name
    copy = body.clone(allow_outer_scope_values=True)
    number = add_constant(graph, f"{stem}_iteration_{iteration}", np.array(iteration, np.int64))
    true = add_constant(graph, f"{stem}_true", np.array(True))
    results = list(copy.outputs[1:])
    inputs = dict(zip(copy.inputs, [number, true, *carried], strict=True))
    copy.outputs.clear()
    for formal, actual in inputs.items():
        if actual is not None:
            formal.replace_all_uses_with(actual)
    for initializer in list(copy.initializers.values()):
        array = constant(initializer)
        if array is not None:
            initializer.replace_all_uses_with(add_constant(graph, f"{initializer.name}_{iteration}", array))
    nodes = list(copy)
    for each in nodes:
        copy.remove(each)
        each.name = f"{node.name}_{iteration}_{each.name or each.op_type}"
        for output in each.outputs:
            output.name = f"{stem}_{iteration}_{output.name}"
        graph.insert_before(node, each)
    return [inputs.get(value) or value for value in results]


def _stacked(node: ir.Node, values: list[ir.Value]) -> ir.Value:
    stem = node.outputs[0].name or node.name
    axis = add_constant(graph_of(node), f"{stem}_axis", np.array([0], np.int64))
    slices = [insert_before(node, "Unsqueeze", [value, axis], stem=f"{stem}_slice") for value in values]
    return insert_before(node, "Concat", slices, {"axis": 0}, stem=f"{stem}_stacked")
