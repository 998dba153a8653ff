"""The key test of pruning: what is left equals the original in which the weights for the removed channels are zero."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.canonicalize import Canonicalize
from edgec.passes.fold_batchnorm import FoldBatchNorm
from edgec.passes.raise_opset import RaiseOpset
from tests.support.architectures import ARCHITECTURES
from tests.support.masked_channels import assert_identity, random_plan
from tests.support.real_models import REAL_MODELS


def prepared(model: ir.Model, *, fold: bool) -> ir.Model:
    for each in [RaiseOpset(), *([Canonicalize(), FoldBatchNorm(), Canonicalize()] if fold else [])]:
        model = each(model).model
    return model


def with_random_weights(model: ir.Model, seed: int = 0) -> ir.Model:
    """Replace large constants by noise of a size that keeps the signal: some test networks have all-equal weights."""
    rng = np.random.default_rng(seed)
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < 16:
            continue
        shape = tuple(tensor.shape.numpy())
        fan = max(int(np.prod(shape[1:])), 1) if len(shape) != 2 else max(shape)
        noise = rng.standard_normal(shape, dtype=np.float32)
        array = noise * np.float32((2 / fan) ** 0.5) if len(shape) > 1 and fan > 1 else 1 + 0.1 * noise
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
    return model


@pytest.mark.parametrize("fold", [False, True], ids=["as_exported", "canonical"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_pruned_soundly(name: str, fold: bool) -> None:
    model = prepared(fix_shapes(load(ARCHITECTURES[name]()).model, {}), fold=fold)
    for seed in range(3):
        assert_identity(model, random_plan(model, seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), largest=st.floats(0.1, 0.95))
def test_architectures_at_random_ratios(name: str, seed: int, largest: float) -> None:
    model = prepared(fix_shapes(load(ARCHITECTURES[name]()).model, {}), fold=seed % 2 == 0)
    assert_identity(model, random_plan(model, seed, largest))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_MODELS)
def test_real_models_at_random_ratios(name: str) -> None:
    real = REAL_MODELS[name]
    model = prepared(fix_shapes(load(real.require()).model, real.shapes), fold=True)
    if name.startswith("light_"):
        model = with_random_weights(model)

    @settings(max_examples=2, deadline=None, derandomize=True)
    @given(seed=st.integers(0, 2**31), largest=st.floats(0.2, 0.8))
    def check(seed: int, largest: float) -> None:
        assert_identity(model, random_plan(model, seed, largest))

    check()
