"""The work of a compiled network's kernels: nodes of its ONNX model, multiply-accumulates, bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgec.model.cost import LayerCost, fused_cost, layer_costs
from edgec.model.graph import label


@dataclass(frozen=True)
class CalledLayer:
    """The nodes that one call of a function computes, and their work.

    Attributes:
        function: Its name.
        call: Number of the call among those of the function, from 0.
        nodes: Names of the nodes of the ONNX model that was lowered, in its order.
        macs: Multiply-accumulates of these nodes.
        bytes: Size of their weights and of the values they exchange with other nodes, in the ONNX model's types.
    """

    function: str
    call: int
    nodes: tuple[str, ...]
    macs: int
    bytes: int


def layers_of(model: ir.Model, values: Mapping[tuple[str, int], tuple[str, ...]]) -> list[CalledLayer]:
    """Return the layers of calls, in the order of `values`: (function, call) -> values of `model` computed there.

    A node whose value was computed by no call of its own (it was folded into another, or is a view) belongs to the call
    of the first node that reads it.
    """
    costs = {cost.name: cost for cost in layer_costs(model)}
    calls: dict[ir.Node, tuple[str, int]] = {}
    producers = {value.name: node for node in model.graph for value in node.outputs}
    for call, names in values.items():
        calls.update({producers[name]: call for name in names if name in producers})
    for node in reversed(model.graph):
        readers = (calls[user] for value in node.outputs for user in value.consumers() if user in calls)
        first = None if node in calls or label(node) not in costs else next(readers, None)
        if first is not None:
            calls[node] = first
    members: dict[tuple[str, int], list[ir.Node]] = defaultdict(list)
    for node in model.graph:
        if node in calls:
            members[calls[node]].append(node)
    return [
        _layer(*call, nodes, [costs[label(node)] for node in nodes if label(node) in costs])
        for call in values
        if (nodes := members[call])
    ]


def _layer(function: str, call: int, nodes: list[ir.Node], costs: Iterable[LayerCost]) -> CalledLayer:
    macs, moved = fused_cost(nodes, costs)
    return CalledLayer(function, call, tuple(label(node) for node in nodes), macs, moved)
