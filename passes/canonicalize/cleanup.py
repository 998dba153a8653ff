"""Clean-up after the rules: unused nodes, equal constants, equal nodes, names, order of initializers."""

from __future__ import annotations

import hashlib

import onnx_ir as ir
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    NameFixPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
    TopologicalSortPass,
)

from edgec.passes.canonicalize.merge_equal import merge_equal

SHARED_FROM_BYTES = 1 << 16
"""Minimum size of equal float tensors that are shared; smaller ones are often equal by chance (all-zero biases), and
passes that slice or rescale one layer would have to separate them again. Tensors filled with one number are never
shared: they stand in for weights that were left out, and sharing them would merge layers that differ."""


def remove_duplicates(model: ir.Model) -> bool:
    """Remove unused nodes and initializers, share equal constants and merge equal nodes; return whether any changed."""
    removed = RemoveUnusedNodesPass()(model).modified
    _forget_removed_readers(model)
    shared = _share_initializers(model.graph)
    merged = merge_equal(model.graph)
    return bool(removed or shared or merged)


def tidy(model: ir.Model) -> None:
    """Give every node a unique name, remove the exporter's metadata, and sort initializers by their first use."""
    ClearMetadataAndDocStringPass()(model)
    RemoveUnusedOpsetsPass()(model)
    for graph in model.graphs():
        for node in graph:
            if not node.name:
                node.name = f"{node.op_type}_{node.outputs[0].name}"
    NameFixPass()(model)
    TopologicalSortPass()(model)
    _sort_initializers(model.graph)


def _forget_removed_readers(model: ir.Model) -> None:
    """Detach nodes in the bodies of removed control flow, which values still count as readers."""
    present = set(model.graph.all_nodes())
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for value in (*values, *(output for node in present for output in node.outputs)):
        for use in list(value.uses()):
            if use.node not in present:
                use.node.replace_input_with(use.idx, None)


def _share_initializers(graph: ir.Graph) -> bool:
    kept: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}
    shared = False
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output() or not _worth_sharing(tensor):
            continue
        digest = hashlib.sha256(tensor.tobytes()).digest()
        first = kept.setdefault((tensor.dtype, tuple(tensor.shape.numpy()), digest), value)
        if first is value:
            continue
        value.replace_all_uses_with(first)
        del graph.initializers[value.name or ""]
        shared = True
    return shared


def _worth_sharing(tensor: ir.TensorProtocol) -> bool:
    if tensor.dtype == ir.DataType.STRING:
        return False
    if not tensor.dtype.is_floating_point() or tensor.size == 1:
        return True
    if tensor.nbytes < SHARED_FROM_BYTES:
        return False
    array = tensor.numpy()
    return bool((array != array.flat[0]).any())


def _sort_initializers(graph: ir.Graph) -> None:
    used: dict[str, ir.Value] = {}
    for node in graph.all_nodes():
        for value in node.inputs:
            if value is not None and value.is_initializer() and value.graph is graph:
                used.setdefault(value.name or "", value)
    for value in graph.outputs:
        if value.is_initializer():
            used.setdefault(value.name or "", value)
    if list(used) == list(graph.initializers):
        return
    graph.initializers.clear()
    graph.initializers.update(used)
