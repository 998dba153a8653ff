"""Resolves sequences of tensors of known length: their readers read the tensors directly."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgec.model.control_flow import unsqueezed
from edgec.model.graph import attribute
from edgec.model.rewriter import Rewriter, is_read

Elements = list[ir.Value]

MAKERS = frozenset(
    {"SequenceEmpty", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SplitToSequence", "Identity"}
)
READERS = frozenset({"SequenceAt", "SequenceLength", "ConcatFromSequence"})


def resolve_sequences(graph: ir.Graph, rewriter: Rewriter) -> list[ir.Node]:
    """Replace sequences of `graph` and its subgraphs by their tensors if these are known; return the removed nodes."""
    known: dict[ir.Value, Elements] = {}
    gone: list[ir.Node] = []
    makers = [node for node in graph.all_nodes() if node.domain in ("", "ai.onnx") and node.op_type in MAKERS | READERS]
    for node in makers:
        if node.op_type in MAKERS:
            elements = _elements(node, known, rewriter)
            if elements is not None:
                known[node.outputs[0]] = elements
        elif node.inputs[0] in known:
            result = _read(node, known[node.inputs[0]], rewriter)
            if result is not None:
                rewriter.replace(node, [result])
                gone.append(node)
    for node in reversed(makers):
        if node.outputs[0] in known and not is_read(node.outputs[0]):
            rewriter.remove(node)
            gone.append(node)
    return gone


def _elements(node: ir.Node, known: dict[ir.Value, Elements], rewriter: Rewriter) -> Elements | None:
    """Return the elements of the sequence that `node` makes, or None if it makes none or they are unknown."""
    if node.op_type in ("SequenceEmpty", "SequenceConstruct"):
        return [value for value in node.inputs if value is not None]
    if node.op_type == "SplitToSequence":
        return _split(node, rewriter)
    if node.inputs[0] not in known:
        return None
    elements = list(known[node.inputs[0]])
    return elements if node.op_type == "Identity" else _edited(node, elements, rewriter)


def _edited(node: ir.Node, elements: Elements, rewriter: Rewriter) -> Elements | None:
    """Return `elements` after a SequenceInsert or SequenceErase, or None if its position is unknown."""
    inserted = node.inputs[1] if node.op_type == "SequenceInsert" else None
    place = node.inputs[-1] if len(node.inputs) == (2 if inserted is None else 3) else None
    at = rewriter.number(place)
    last = len(elements) - (inserted is None)
    if place is not None and (at is None or not -len(elements) <= at <= last):
        return None
    if inserted is not None:
        elements.insert(len(elements) if at is None else at, inserted)
    elif elements:
        del elements[-1 if at is None else at]
    return elements


def _read(node: ir.Node, elements: Elements, rewriter: Rewriter) -> ir.Value | None:
    """Return the result of `node` on a sequence of `elements`, or None if it is unknown."""
    if node.op_type == "SequenceLength":
        return rewriter.constant(node, "length", np.array(len(elements), np.int64))
    if node.op_type == "SequenceAt":
        at = rewriter.number(node.inputs[1])
        return elements[at] if at is not None and -len(elements) <= at < len(elements) else None
    if not elements:
        return None
    axis = attribute(node, "axis", 0)
    if attribute(node, "new_axis", 0):
        elements = [unsqueezed(node, value, axis, rewriter) for value in elements]
    return rewriter.add(node, "Concat", elements, {"axis": axis})[0]


def _split(node: ir.Node, rewriter: Rewriter) -> Elements | None:
    """Insert a Split for the tensor that `node` (SplitToSequence) splits, and return the parts."""
    x, axis = node.inputs[0], attribute(node, "axis", 0)
    split = node.inputs[1] if len(node.inputs) > 1 else None
    sizes = rewriter.value(split)
    length = x.shape[axis] if x is not None and x.shape is not None and -len(x.shape) <= axis < len(x.shape) else None
    if not isinstance(length, int) or (split is not None and sizes is None) or length > rewriter.room:
        return None
    if sizes is None and not attribute(node, "keepdims", 1):
        indices = [rewriter.constant(node, "index", np.array(index, np.int64)) for index in range(length)]
        return [rewriter.add(node, "Gather", [x, index], {"axis": axis})[0] for index in indices]
    if sizes is None or sizes.ndim == 0:
        width = 1 if sizes is None else int(sizes)
        if width < 1:
            return None
        parts = [min(width, length - start) for start in range(0, math.ceil(length / width) * width, width)]
    else:
        parts = [int(size) for size in sizes]
    if rewriter.opset < 13:
        return list(rewriter.add(node, "Split", [x], {"axis": axis, "split": parts}, len(parts)))
    widths = rewriter.constant(node, "split", np.array(parts, np.int64))
    return list(rewriter.add(node, "Split", [x, widths], {"axis": axis}, len(parts)))
