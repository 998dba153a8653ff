"""Removes from a network what is decided before it runs: control flow, and sequences of tensors."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.control_flow import is_control_flow, resolve_control_flow
from edgec.model.graph import label, subgraphs
from edgec.model.rewriter import Rewriter
from edgec.model.sequences import MAKERS, READERS, resolve_sequences

MOST_NODES = 1 << 14
"""Maximum number of nodes of a graph after its loops are unrolled; longer loops stay loops."""


def may_resolve(model: ir.Model) -> bool:
    """Return whether `model` has any control flow or sequences."""
    sequences = (MAKERS - {"Identity"}) | READERS
    return any(is_control_flow(node) or node.op_type in sequences for node in model.graph.all_nodes())


def resolve(model: ir.Model) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Resolve control flow and sequences that the known shapes and constants decide, in place.

    The shapes of the inserted nodes are not inferred: infer them, and call this again until nothing changes.

    Args:
        model: Model of any opset.

    Returns:
        Sentences on what was done, and (node, reason) of the control flow that stays.
    """
    rewriter = Rewriter(model, MOST_NODES - sum(1 for _ in model.graph.all_nodes()))
    done: list[str] = []
    left: list[tuple[str, str]] = []
    _resolve_graph(model.graph, rewriter, done, left)
    gone = resolve_sequences(model.graph, rewriter)
    done.extend(f"{label(node)}: {node.op_type} resolved" for node in gone)
    return tuple(done), tuple(left)


def _resolve_graph(graph: ir.Graph, rewriter: Rewriter, done: list[str], left: list[tuple[str, str]]) -> None:
    for node in list(graph):
        if not is_control_flow(node):
            continue
        reason = resolve_control_flow(node, rewriter)
        if reason is None:
            done.append(f"{label(node)}: {node.op_type} resolved")
            continue
        left.append((label(node), f"{node.op_type} left as it is: {reason}"))
        for inner in subgraphs(node):
            _resolve_graph(inner, rewriter, done, left)
