"""Sorts nodes: ONNX requires each node to follow those whose values it reads, but some tools write another order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import onnx

from edgec.errors import BadModel


def is_sorted(graph: onnx.GraphProto | onnx.FunctionProto) -> bool:
    """Return whether every node of `graph` and of its subgraphs follows those whose values it reads."""
    later = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        if any(name in later for name in _reads(node)) or not all(map(is_sorted, _subgraphs(node))):
            return False
        later.difference_update(node.output)
    return True


def sort_nodes(graph: onnx.GraphProto | onnx.FunctionProto, source: str) -> None:
    """Sort the nodes of `graph` and of its subgraphs in place; sorted graphs keep their order.

    Args:
        graph: Graph in which nodes may precede those whose values they read.
        source: The model's name, for messages.

    Raises:
        BadModel: The nodes form a cycle; the message names one of them.
    """
    nodes = list(graph.node)
    for node in nodes:
        for inner in _subgraphs(node):
            sort_nodes(inner, source)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    waits_for = [{makers[name] for name in _reads(node) if name in makers} for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, made_by in enumerate(waits_for):
        for maker in made_by:
            readers[maker].append(index)
    ready = [index for index, made_by in enumerate(waits_for) if not made_by]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waits_for[reader].discard(index)
            if not waits_for[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = nodes[next(index for index, made_by in enumerate(waits_for) if made_by)]
        raise BadModel(
            f"{source}: {stuck.op_type} node {stuck.name or next(iter(stuck.output), '')!r} depends on its own output",
            remedy="Export the model again; its nodes form a cycle.",
        )
    copies = [nodes[index] for index in order]
    del graph.node[:]
    graph.node.extend(copies)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that `node` reads, including those that its subgraphs take from outside."""
    yield from node.input
    for graph in _subgraphs(node):
        made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        made.update(name for inner in graph.node for name in inner.output)
        outside = {name for inner in graph.node for name in _reads(inner)} | {value.name for value in graph.output}
        yield from outside - made


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attr in node.attribute:
        if attr.HasField("g"):
            yield attr.g
        yield from attr.graphs
