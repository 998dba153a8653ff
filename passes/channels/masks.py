"""Masks of the channels that are kept, and the rewriting of constants of nodes (shapes, sizes, indices) by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant

Kept = np.ndarray[Any, np.dtype[np.bool_]]
"""Whether each index along an axis is kept."""
Masks = Mapping[ir.Value, list[Kept]]
"""Mask for each value and axis."""


def mask_of(masks: Masks, value: ir.Value | None, axis: int) -> Kept:
    """Return the mask of `value` along `axis`."""
    if value is None:
        raise ValueError("an operand is absent")
    return masks[value][axis]


def kept_shape(masks: Masks, value: ir.Value) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the shape of the kept part of `value`."""
    return np.array([mask.sum() for mask in masks[value]], np.int64)


def set_input(graph: ir.Graph, node: ir.Node, index: int, array: np.ndarray[Any, Any]) -> None:
    """Give `node` a constant of its own as input `index`."""
    stem = f"{node.outputs[0].name}_{node.op_type.lower()}"
    node.replace_input_with(index, add_constant(graph, stem, array))
