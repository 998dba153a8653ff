"""Scatters with a reduction and integer reductions, as TensorRT 8.2 computes them right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.legal_nodes import SEEDS, SHAPES, dims, examples, legal
from tests.support.models import model, ops

REDUCTIONS = st.sampled_from(["add", "mul", "max", "min"])
DTYPES = st.sampled_from(["float", "int32", "int64"])


@pytest.mark.parametrize("constant", [False, True])
@examples
@given(shape=SHAPES, seed=SEEDS, reduction=REDUCTIONS, dtype=DTYPES)
def test_scatter_elements(constant: bool, shape: tuple[int, ...], seed: int, reduction: str, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    axis, part = int(rng.integers(-len(shape), len(shape))), tuple(int(rng.integers(1, size + 1)) for size in shape)
    indices = rng.integers(-shape[axis], shape[axis], part)
    _check("ScatterElements", f", axis = {axis}", shape, part, indices, reduction, dtype, rng, constant=constant)


@pytest.mark.parametrize("constant", [False, True])
@examples
@given(shape=SHAPES, seed=SEEDS, reduction=REDUCTIONS, dtype=DTYPES)
def test_scatter_nd(constant: bool, shape: tuple[int, ...], seed: int, reduction: str, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    depth, count = int(rng.integers(1, len(shape) + 1)), int(rng.integers(1, 5))
    indices = rng.integers(0, shape[:depth], (count, depth)) - rng.integers(0, 2, (count, depth)) * shape[:depth]
    _check("ScatterND", "", shape, (count, *shape[depth:]), indices, reduction, dtype, rng, constant=constant)


def _check(
    operator: str,
    attributes: str,
    shape: tuple[int, ...],
    part: tuple[int, ...],
    indices: np.ndarray,
    reduction: str,
    dtype: str,
    rng: np.random.Generator,
    *,
    constant: bool,
) -> None:
    inputs = f"{dtype}[{dims(shape)}] x, {dtype}[{dims(part)}] u"
    inputs += "" if constant else f", int64[{dims(indices.shape)}] i"
    body = f'y = {operator} <reduction = "{reduction}"{attributes}> (x, i, u)'
    network = model(
        f"g ({inputs}) => ({dtype}[{dims(shape)}] y) {{ {body} }}", {"i": indices} if constant else {}, opset=18
    )
    kind = {"float": "float32"}.get(dtype, dtype)
    feeds = {"x": rng.integers(-5, 6, shape).astype(kind), "u": rng.integers(-5, 6, part).astype(kind)}
    legal(network, feeds if constant else {**feeds, "i": indices})


def test_different_constant_indices_need_no_comparison() -> None:
    network = model(
        'g (float[5, 2] x, float[3, 2] u) => (float[5, 2] y) { y = ScatterND <reduction = "add"> (x, i, u) }',
        {"i": np.array([[0], [3], [1]])},
        opset=18,
    )
    assert ops(legal(network)) == ["GatherND", "Add", "ScatterND"]


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@examples
@given(shape=SHAPES, seed=SEEDS, keep=st.booleans())
def test_integer_reductions_are_exact(operator: str, dtype: str, shape: tuple[int, ...], seed: int, keep: bool) -> None:
    rng = np.random.default_rng(seed)
    axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]
    rank = sum(keep or axis not in axes for axis in range(len(shape)))
    body = f"y = {operator} <keepdims = {int(keep)}> (x, a)"
    open_shape = f"[{', '.join(f'd{at}' for at in range(rank))}]" if rank else ""
    network = model(f"g ({dtype}[{dims(shape)}] x) => ({dtype}{open_shape} y) {{ {body} }}", {"a": axes}, opset=18)
    x = rng.integers(-(1 << 22), 1 << 22, shape)
    if operator == "ReduceProd":  # ONNX Runtime multiplies integers in floats: theirs are exact while they are small
        x = np.where(np.arange(x.size).reshape(shape) < 5, x % 9 - 4, np.sign(x) | 1)
    legal(network, {"x": x.astype(dtype)}, tolerance=0)


def test_large_numbers_do_not_lose_digits() -> None:
    network = model("g (int32[3] x) => (int32[1] y, int32[1] z) { y = ReduceSum (x)  z = ReduceMax (x) }", opset=18)
    legal(network, {"x": np.array([2_000_000_001, -2_000_000_003, 2_000_000_005], np.int32)}, tolerance=0)
