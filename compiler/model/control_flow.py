"""Resolves control flow that is known before the network runs: If of known condition, Loop and Scan of known length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, subgraphs
from edgec.model.rewriter import Rewriter, is_read

MOST_CONDITIONS = 64
"""Maximum number of iterations of a loop that computes in each iteration whether another one follows."""


class _Undecided(Exception):
    """Reason why a node cannot be resolved."""


def resolve_control_flow(node: ir.Node, rewriter: Rewriter) -> str | None:
    """Replace `node` by the nodes that it executes; return None if that was done, else the reason why not."""
    try:
        RESOLVERS[node.op_type](node, rewriter)
    except _Undecided as reason:
        return str(reason)
    return None


def is_control_flow(node: ir.Node) -> bool:
    """Return whether `node` is one of the standard operators whose attributes are graphs: If, Loop and Scan."""
    return node.domain in ("", "ai.onnx") and node.op_type in RESOLVERS


def _if(node: ir.Node, rewriter: Rewriter) -> None:
    condition = _known(node.inputs[0], rewriter, "its condition depends on the data")
    branch: ir.Graph = attribute(node, "then_branch" if condition else "else_branch")
    _, results = rewriter.insert_body(node, branch, [])
    rewriter.replace(node, results)


def _loop(node: ir.Node, rewriter: Rewriter) -> None:
    body: ir.Graph = attribute(node, "body")
    count, condition, *initial = (*node.inputs, None)[: max(len(node.inputs), 2)]
    trips = rewriter.room + 1
    if count is not None:
        trips = _known(count, rewriter, "its trip count depends on the data")
    go = condition is None or bool(_known(condition, rewriter, "its first condition depends on the data"))
    counted = _hands_condition_on(body)
    if go and counted:
        _check_room(trips, node, rewriter)
    if not (go and trips > 0) and any(map(is_read, node.outputs[len(initial) :])):
        raise _Undecided("it collects results, but runs no iteration")
    most = rewriter.room if counted else MOST_CONDITIONS
    carried, collected = _iterate(node, body, initial, trips if go else 0, most, rewriter)
    stacks = [_stacked(node, values, 0, rewriter) if values else None for values in collected]
    rewriter.replace(node, [*carried, *stacks])


def _iterate(
    node: ir.Node, body: ir.Graph, carried: list[ir.Value | None], trips: int, most: int, rewriter: Rewriter
) -> tuple[list[ir.Value | None], list[list[ir.Value]]]:
    """Insert up to `trips` copies of `body`; return the carried and the collected values, or insert nothing."""
    collected: list[list[ir.Value]] = [[] for _ in node.outputs[len(carried) :]]
    inserted: list[ir.Node] = []
    try:
        for iteration in range(trips):
            _check_room(iteration + 1, node, rewriter, done=iteration)
            if iteration == most:
                raise _Undecided(f"more than {most} iterations are too many to write out")
            number = rewriter.constant(node, "iteration", np.array(iteration, np.int64))
            true = rewriter.constant(node, "condition", np.array(True))
            nodes, (stays, *results) = rewriter.insert_body(node, body, [number, true, *carried])
            inserted.extend(nodes)
            carried = list(results[: len(carried)])
            for stack, value in zip(collected, results[len(carried) :], strict=True):
                stack.append(value)
            if not _known(stays, rewriter, "its condition depends on the data"):
                break
    except _Undecided:
        rewriter.undo(inserted)
        raise
    return carried, collected


def _scan(node: ir.Node, rewriter: Rewriter) -> None:
    body: ir.Graph = attribute(node, "body")
    scanned = attribute(node, "num_scan_inputs", 0)
    states = len(node.inputs) - scanned
    sources, stacked = list(node.inputs[states:]), len(node.outputs) - states
    axes = attribute(node, "scan_input_axes") or (0,) * scanned
    backwards = attribute(node, "scan_input_directions") or (0,) * scanned
    lengths = {_length(value, axis) for value, axis in zip(sources, axes, strict=True)}
    trips = lengths.pop() if len(lengths) == 1 else None
    if not trips or rewriter.opset < 9:
        raise _Undecided("the number of its iterations is unknown")
    _check_room(trips, node, rewriter)
    carried: list[ir.Value | None] = list(node.inputs[:states])
    collected: list[list[ir.Value]] = [[] for _ in range(stacked)]
    for step in range(trips):
        slices: list[ir.Value | None] = []
        for source, axis, back in zip(sources, axes, backwards, strict=True):
            index = rewriter.constant(node, "step", np.array(trips - 1 - step if back else step, np.int64))
            slices.extend(rewriter.add(node, "Gather", [source, index], {"axis": axis}))
        _, results = rewriter.insert_body(node, body, [*carried, *slices])
        carried = list(results[:states])
        for stack, value in zip(collected, results[states:], strict=True):
            stack.append(value)
    out_axes = attribute(node, "scan_output_axes") or (0,) * stacked
    prepended = attribute(node, "scan_output_directions") or (0,) * stacked
    stacks = [
        _stacked(node, values[::-1] if back else values, axis, rewriter)
        for values, axis, back in zip(collected, out_axes, prepended, strict=True)
    ]
    rewriter.replace(node, [*carried, *stacks])


RESOLVERS: dict[str, Callable[[ir.Node, Rewriter], None]] = {"If": _if, "Loop": _loop, "Scan": _scan}


def unsqueezed(node: ir.Node, value: ir.Value, axis: int, rewriter: Rewriter) -> ir.Value:
    """Insert, in front of `node`, an Unsqueeze of `value` along `axis`; return the result."""
    if rewriter.opset < 13:
        return rewriter.add(node, "Unsqueeze", [value], {"axes": [axis]})[0]
    axes = rewriter.constant(node, "axis", np.array([axis], np.int64))
    return rewriter.add(node, "Unsqueeze", [value, axes], {})[0]


def _stacked(node: ir.Node, values: Sequence[ir.Value], axis: int, rewriter: Rewriter) -> ir.Value:
    parts = [unsqueezed(node, value, axis, rewriter) for value in values]
    return rewriter.add(node, "Concat", parts, {"axis": axis})[0]


def _known(value: ir.Value | None, rewriter: Rewriter, otherwise: str) -> int:
    number = rewriter.number(value)
    if number is None:
        raise _Undecided(otherwise)
    return number


def _check_room(trips: int, node: ir.Node, rewriter: Rewriter, done: int = 0) -> None:
    """Raise an error unless `trips` iterations of `node`, of which `done` are inserted already, can be unrolled."""
    size = 1 + sum(1 for graph in subgraphs(node) for _ in graph.all_nodes())
    if (trips - done) * size > rewriter.room:
        raise _Undecided(f"{trips} iterations of {size - 1} nodes are too many to write out")


def _hands_condition_on(body: ir.Graph) -> bool:
    """Return whether a Loop's body returns the condition that it was given."""
    value: ir.Value | None = body.outputs[0]
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    return value is body.inputs[1]


def _length(value: ir.Value | None, axis: int) -> int | None:
    if value is None or value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) else None
