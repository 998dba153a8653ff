"""The key property of pruning: what is left equals the original in which the weights of removed channels are zero."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.signature import inputs_of
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.masked import masked_weights
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.contract import Equivalence, Interface
from edgec.reference.golden import golden_inputs

TOLERANCE = 1e-4


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
    after = sliced(model, plan)
    expected = Equivalence.of(masked(model, plan), golden_inputs(inputs_of(model), 0), seed=0)
    expected.check(after, "slice_channels", tolerance=TOLERANCE)
    return after


def sliced(model: ir.Model, plan: PrunePlan) -> ir.Model:
    """Return a sound copy of `model` without the channels of `plan`."""
    result = SliceChannels(plan)(model.clone())
    assert result.modified == bool(plan.groups)
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    Interface.of(model).check(result.model, "slice_channels")
    return result.model


def masked(model: ir.Model, plan: PrunePlan) -> ir.Model:
    """Return a copy of `model` in which the weights of the channels of `plan` are zero."""
    copy = model.clone()
    for name, array in masked_weights(model, find_groups(model), plan).items():
        copy.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return copy
