"""Shape and type inference for models of any size, by ONNX's own inference functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.graph import is_static
from edgec.model.serialize import skeleton
from edgec.model.shape_values import shape_values

Array = np.ndarray[Any, Any]


def infer_shapes(model: ir.Model, *, sizes: Mapping[str, int] | None = None, remedy: str | None = None) -> None:
    """Infer type and shape of every value of `model` anew, in place, from inputs and initializers.

    Shapes that were there before are kept only where ONNX cannot infer one (operators of other domains, sizes that
    depend on the data).

    Args:
        model: Any valid model.
        sizes: Sizes of symbolic dimensions, for the shapes that are kept.
        remedy: For the message if inference fails.

    Raises:
        BadModel: Types or shapes contradict each other; the message names op and node.
    """
    _write_default_axes(model)
    before: dict[ir.Value, ir.Shape] = {}
    for value in _node_outputs(model):
        if value.shape is not None:
            before[value] = ir.Shape([_known(dim, sizes or {}) for dim in value.shape])
            value.shape = None
    known = _infer_all(model, {}, remedy)
    # Old shapes are not trusted where ONNX knows better: exporters leave wrong ones on outputs.
    kept = [value for value in before if not is_static(value)]
    for value in kept:
        value.shape = _merged(value.shape, before[value])
    if kept:
        _infer_all(model, known, remedy)


def _write_default_axes(model: ir.Model) -> None:
    """MeanVarianceNormalization: ONNX infers through its body, and that fails where a default is left out."""
    for node in model.graph.all_nodes():
        if node.op_type == "MeanVarianceNormalization" and "axes" not in node.attributes:
            node.attributes.add(ir.AttrInt64s("axes", (0, 2, 3)))


def _infer_all(model: ir.Model, known: dict[str, Array], remedy: str | None) -> dict[str, Array]:
    """Infer until nothing more is found: shapes make arithmetic on them computable, and that the shapes behind it."""
    while True:
        _infer_once(model, known, remedy)
        if all(is_static(value) for value in _node_outputs(model) if value.uses() or value.is_graph_output()):
            return known
        more = shape_values(model)
        if len(more) == len(known):
            return known
        known = more


def _infer_once(model: ir.Model, known: Mapping[str, Array], remedy: str | None) -> None:
    try:
        bare = skeleton(model, known)
        proto = onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ir.serde.SerdeError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split()).removeprefix("[ShapeInferenceError] ")
        raise BadModel(
            f"the model's shapes contradict each other: {message}",
            remedy=remedy or "Export the model again with fixed shapes.",
        ) from error
    for graph, inferred in zip(model.graphs(), ir.from_proto(proto).graphs(), strict=True):
        found = ir.convenience.create_value_mapping(inferred)
        for node in graph:
            for value in node.outputs:
                result = found.get(value.name or "")
                if result is not None:
                    value.type = value.type if result.type is None else result.type
                    value.shape = value.shape if result.shape is None else result.shape


def _node_outputs(model: ir.Model) -> Iterator[ir.Value]:
    for node in model.graph.all_nodes():
        yield from node.outputs


def _known(dim: int | ir.SymbolicDim, sizes: Mapping[str, int]) -> int | str | None:
    if isinstance(dim, int):
        return dim if dim > 0 else None
    return sizes.get(dim.value or "", dim.value)


def _merged(inferred: ir.Shape | None, before: ir.Shape) -> ir.Shape:
    """Return `inferred` with its open dimensions taken from `before`, or `before` where nothing was inferred."""
    if inferred is None:
        return before
    if len(inferred) != len(before):
        return inferred
    return ir.Shape([dim if isinstance(dim, int) else old for dim, old in zip(inferred, before, strict=True)])
