"""Gives names that every tool around TensorRT accepts: letters, digits and `_ . / -`, unique."""

from __future__ import annotations

import re

import onnx_ir as ir

ODD = re.compile(r"[^A-Za-z0-9_./-]")


def plain_names(model: ir.Model) -> dict[str, str]:
    """Give every value and node of `model` a plain, unique name, in place; return old -> new for the changed ones.

    Calibration caches and dynamic-range files separate names by colons and spaces, so a colon in a name makes their
    readers fail; nodes without a name cannot be named in messages or pinned to a precision. Inputs and outputs of the
    graph keep their names if these are plain.
    """
    changed: dict[str, str] = {}
    taken: set[str] = set()
    for value in (*model.graph.inputs, *model.graph.outputs, *_inner_values(model)):
        old = value.name or ""
        if not old:
            continue
        new = _free(ODD.sub("_", old), taken)
        if new != old:
            changed[old] = value.name = new
    taken.clear()
    for node in model.graph.all_nodes():
        node.name = _free(ODD.sub("_", node.name or f"{node.op_type}_{node.outputs[0].name or ''}"), taken)
    return changed


def _inner_values(model: ir.Model) -> list[ir.Value]:
    """Return every value once, except inputs and outputs of the main graph."""
    outer = {id(value) for value in (*model.graph.inputs, *model.graph.outputs)}
    values: list[ir.Value] = []
    for graph in model.graphs():
        values += [*graph.inputs, *graph.initializers.values()]
        values += [output for node in graph for output in node.outputs]
    return list({id(value): value for value in values if id(value) not in outer}.values())


def _free(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate
