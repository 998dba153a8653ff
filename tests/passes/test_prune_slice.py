"""The key test of pruning: what is left equals the original in which the weights for the removed channels are zero."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.passes.canonicalize import Canonicalize
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels, masked_weights
from edgec.passes.contract import Equivalence, Interface
from edgec.passes.fold_batchnorm import FoldBatchNorm
from edgec.passes.raise_opset import RaiseOpset
from edgec.reference.golden import golden_inputs
from tests.support.architectures import ARCHITECTURES
from tests.support.real_models import REAL_MODELS

TOLERANCE = 1e-4


def prepared(model: ir.Model, *, fold: bool) -> ir.Model:
    for each in [RaiseOpset(), *([Canonicalize(), FoldBatchNorm(), Canonicalize()] if fold else [])]:
        model = each(model).model
    return model


def random_plan(model: ir.Model, seed: int, largest: float = 0.7) -> PrunePlan:
    """Remove up to `largest` of each group, another share and other units in each."""
    rng = np.random.default_rng(seed)
    removed = {}
    for group in find_groups(model).groups:
        units = rng.permutation(group.units)[: rng.integers(0, int(largest * group.units) + 1)].tolist()
        for floor in group.floors:
            if floor <= set(units):
                units.remove(min(floor))
        removed[group.name] = (group, units)
    return PrunePlan.of(removed)


def assert_identity(model: ir.Model, plan: PrunePlan) -> ir.Model:
    """Slice a copy of `model`; assert that it is sound and equals the masked original; return it."""
    masked = model.clone()
    for name, array in masked_weights(model, find_groups(model), plan).items():
        masked.graph.initializers[name].const_value = ir.tensor(array, name=name)
    result = SliceChannels(plan)(model.clone())
    assert result.modified == bool(plan.groups)
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    Interface.of(model).check(result.model, "slice_channels")
    expected = Equivalence.of(masked, golden_inputs(inputs_of(model), 0), seed=0)
    expected.check(result.model, "slice_channels", tolerance=TOLERANCE)
    return result.model


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
