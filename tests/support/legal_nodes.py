"""Nodes that hypothesis makes up, and the check on them: legal for a TensorRT afterwards, equal before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import settings
from hypothesis import strategies as st

from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import limits_for

examples = settings(max_examples=8, deadline=None, derandomize=True)

SIZES = st.integers(1, 5)
SHAPES = st.lists(SIZES, min_size=1, max_size=4).map(tuple)
SEEDS = st.integers(0, 1000)

Feeds = dict[str, np.ndarray[Any, Any]]


def dims(shape: tuple[int, ...]) -> str:
    """Return `shape` as ONNX text has it between brackets."""
    return ", ".join(map(str, shape))


def legal(
    network: ir.Model, feeds: Feeds | None = None, *, version: str = "8.2.1", tolerance: float = 1e-5
) -> ir.Model:
    """Return the legalized copy of `network`, after checking that TensorRT takes it and that it computes the same."""
    limits, copy = limits_for(version), network.clone()
    feeds = feeds if feeds is not None else random_inputs(inputs_of(network), 0)
    legalize(copy, limits)
    assert refusals(copy, limits) == ()
    assert copy.opset_imports[""] <= limits.max_opset
    onnx.checker.check_model(ir.to_proto(copy), full_check=True)
    comparison = compare(Reference(network).run(feeds), Reference(copy).run(feeds))
    assert comparison.within(tolerance), str(comparison)
    return copy


def normal(shape: tuple[int, ...], seed: int, scale: float = 3.0) -> np.ndarray[Any, Any]:
    """Return normally distributed float32."""
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)
