"""Batches of varying size: a model of one batch size is opened along its first dimension, and checked to be equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import BadOption, UnsupportedModel
from edgec.model.graph import add_constant, attribute, constant, shape_of
from edgec.model.infer import infer_shapes
from edgec.reference.compare import compare
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]
Batch = tuple[int, int]

BATCH = "batch"
"""Name of the open dimension."""
SAME = 1e-4
"""Maximum difference between a picture alone and in a batch, from rounding in another order."""


def open_batch(model: ir.Model, batch: Batch, feeds: Mapping[str, Array]) -> ir.Model:
    """Return a copy of `model` whose inputs accept every batch size of the range.

    Args:
        model: Legalized model with static shapes; the first dimension of its inputs is the smallest batch of the range.
        batch: Smallest and largest batch size.
        feeds: Inputs of `model`. A batch in which they are repeated must give their outputs, repeated.

    Raises:
        BadOption: An input has another first dimension.
        UnsupportedModel: A shape inside the network contains the batch size, or the network mixes pictures.
    """
    low, high = batch
    for value in model.graph.inputs:
        shape = shape_of(value)
        if not shape or shape[0] != low:
            remedy = f"Give --shape {value.name}={low}..{high},... for every input."
            raise BadOption(f"input {value.name!r} has no batch of {low}..{high}: its shape is {shape}", remedy=remedy)
    opened = model.clone()
    for node in list(opened.graph):
        if node.op_type == "Reshape":
            _open_reshape(node, low)
        elif node.op_type == "Resize":
            _open_resize(node)
    for node in opened.graph.all_nodes():
        for output in node.outputs:
            output.shape = None  # otherwise the old shapes would count as known
    for value in opened.graph.inputs:
        value.shape = ir.Shape([BATCH, *(shape_of(value) or ())[1:]])
    infer_shapes(opened)
    _check(model, opened, feeds, repeats=max(high // low, 2))  # with one repeat nothing would be checked
    return opened


def profiles(model: ir.Model, batch: Batch, names: Mapping[str, str]) -> dict[str, dict[str, list[int]]]:
    """Return the optimization profile of each input (by its name as compiled), optimized for the largest batch.

    Args:
        model: Model with static shapes, see `open_batch`.
        batch: Smallest and largest batch size.
        names: Name as compiled -> name in the model.
    """
    rest = {value.name: list(shape_of(value) or ())[1:] for value in model.graph.inputs}
    low, high = batch
    return {
        name: {"min": [low, *rest[inner]], "opt": [high, *rest[inner]], "max": [high, *rest[inner]]}
        for name, inner in names.items()
        if inner in rest
    }


def _open_reshape(node: ir.Node, low: int) -> None:
    wanted, before = constant(node.inputs[1]), shape_of(node.inputs[0])
    if wanted is None or before is None or not wanted.size or wanted[0] != low or before[0] != low:
        return
    target = wanted.copy()
    if -1 not in target[1:]:
        target[0] = -1
    elif not attribute(node, "allowzero", 0):
        target[0] = 0  # the dimension of the input is kept
    assert isinstance(node.graph, ir.Graph)
    node.replace_input_with(1, add_constant(node.graph, f"{node.name}_shape", target))


def _open_resize(node: ir.Node) -> None:
    """Use scale factors instead of sizes, which contain the batch size; integer factors give the same result."""
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if len(node.inputs) < 4 or node.inputs[3] is None or before is None or after is None:
        return
    assert isinstance(node.graph, ir.Graph)
    scales = np.array(after, np.float32) / np.array(before, np.float32)
    inputs = (node.inputs[0], None, add_constant(node.graph, f"{node.name}_scales", scales))
    node.resize_inputs(3)
    for index, value in enumerate(inputs):
        node.replace_input_with(index, value)


def _check(model: ir.Model, opened: ir.Model, feeds: Mapping[str, Array], repeats: int) -> None:
    def repeated(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {name: np.concatenate([array] * repeats) if array.ndim else array for name, array in arrays.items()}

    remedy = "Give one size for the batch, or export the network with an open one."
    try:
        actual = Reference(opened).run(repeated(feeds))
    except Exception as error:  # a Reshape that does not fit, or any other error of ONNX Runtime
        reason = str(error).strip().splitlines()[-1]
        raise UnsupportedModel(f"a shape in the network contains the batch size: {reason}", remedy=remedy) from error
    comparison = compare(repeated(Reference(model).run(feeds)), actual)
    if not comparison.within(SAME):
        raise UnsupportedModel(f"the network's outputs differ in a batch: {comparison.worst}", remedy=remedy)
