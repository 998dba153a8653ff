"""Results of recurrent layers: which are read, and transpositions that the kernel can apply while writing."""

from __future__ import annotations

from edgec.targets.tvm.recurrence import RECURRENCE
from edgec.targets.tvm.regions.facts import Results
from edgec.targets.tvm.regions.graph import Graph, Node


def name_results(graph: Graph) -> None:
    """Record which results of recurrent layers are read."""
    for node in graph.nodes:
        if node.op == RECURRENCE:
            node.facts = Results(tuple((item.call.index, *_written(item, graph)) for item in node.users))


def _written(item: Node, graph: Graph) -> tuple[tuple[int, ...], Node]:
    assert item.shape is not None
    user = item.users[0] if len(item.users) == 1 and not graph.is_output(item) else None
    if user is None or user.op != "relax.permute_dims" or user.attrs.axes is None:
        return tuple(range(len(item.shape))), item
    return tuple(user.ints("axes")), user
