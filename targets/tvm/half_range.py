"""Checks that a network's values fit into half precision: overflows give infinities and, soon after, NaNs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import BadOption
from edgec.model.traits import LINEAR
from edgec.reference.session import Reference

LARGEST = 65504.0
"""The largest finite fp16."""
PACKED_RANK = 4
"""Rank of the activations that are stored in fp16; all others stay in fp32."""
REMEDY = "Compile it with --precision fp32, or give typical inputs with --input."


def check_range(model: ir.Model, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Raise an error for `model` if a weight, or a value computed from `feeds`, exceeds the range of fp16.

    Raises:
        BadOption: The message names the value and its magnitude.
    """
    for value in model.graph.initializers.values():
        rank = len(value.shape or ())  # scales and biases stay in fp32
        if value.const_value is not None and value.dtype == ir.DataType.FLOAT and rank > 1:
            _check(f"weight {value.name!r}", value.const_value.numpy())
    taps = [
        output.name
        for node in model.graph
        for output in node.outputs
        if output.name and output.dtype == ir.DataType.FLOAT and not output.is_graph_output()
        if node.op_type in LINEAR or len(output.shape or ()) == PACKED_RANK
    ]
    for name, array in Reference(model, taps).run(feeds).items():
        if array.dtype == np.float32:
            _check(f"{name!r}, on the golden input,", array)


def _check(what: str, array: np.ndarray[Any, Any]) -> None:
    largest = float(np.abs(array).max(initial=0.0))
    if largest > LARGEST:
        problem = f"precision fp16: {what} reaches {largest:.4g}, beyond the largest fp16 value, {LARGEST:.0f}"
        raise BadOption(problem, remedy=REMEDY)
