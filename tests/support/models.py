"""Small models, written as ONNX text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.load import load
from edgec.model.shapes import fix_shapes


def proto(graph: str, *, opset: int = 17, ir_version: int = 8, functions: str = "") -> onnx.ModelProto:
    """Parse a graph in ONNX text; a full model, header included, is taken as it is.

    >>> proto("g (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }")
    """
    header = "" if graph.lstrip().startswith("<") else f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n'
    return onnx.parser.parse_model(f"{header}{graph}\n{functions}")


def model(
    graph: str,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    *,
    opset: int = 17,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> ir.Model:
    """Return a graph in ONNX text as the front end hands it to the passes: loaded, checked, shapes fixed.

    Args:
        graph: ONNX text without header.
        weights: Initializers too large for text, by the name they have in the graph.
        opset: Version of the standard operators.
        shapes: As `--shape`.
    """
    parsed = proto(graph, opset=opset)
    for name, array in (weights or {}).items():
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
    return fix_shapes(load(parsed).model, shapes or {})


def random_weights(seed: int = 0, **shapes: tuple[int, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """Return normally distributed float32 arrays, by name.

    >>> random_weights(w=(8, 3, 3, 3), b=(8,))
    """
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def saved(proto_or_model: onnx.ModelProto | ir.Model, path: Path) -> Path:
    """Write a model to `path` and return it."""
    if isinstance(proto_or_model, ir.Model):
        proto_or_model = ir.to_proto(proto_or_model)
    onnx.save(proto_or_model, path)
    return path


def ops(model: ir.Model) -> list[str]:
    """Return the operators of the main graph in order."""
    return [node.op_type for node in model.graph]


CONV_BN_RELU = """
net (float[N, 3, 8, 8] image) => (float[N, 4, 8, 8] y)
<float[4, 3, 1, 1] w = {0.5, -1, 2, 0.25, 1, 1, -0.5, 0.5, 0.5, 1, -2, 3}, float[4] scale = {1, 0.5, 2, -1},
 float[4] bias = {0, 1, -1, 0.5}, float[4] mean = {0.1, 0.2, -0.1, 0}, float[4] var = {1, 2, 0.5, 1.5}>
{ c = Conv (image, w)  n = BatchNormalization (c, scale, bias, mean, var)  y = Relu (n) }
"""
"""A convolution with everything an exporter puts behind it; the batch is open."""
