"""Run passes on a model, and compare what a model computes before and after."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.signature import inputs_of
from edgec.passes.canonicalize import Canonicalize
from edgec.passes.contract import Equivalence, Interface, check_valid
from edgec.passes.raise_opset import RaiseOpset
from edgec.passes.report import PassReport
from edgec.reference.golden import random_inputs

EXACT = 0.0
ROUNDING = 2e-6
"""Relative to the range of the output: a few rounding steps of float32."""


def applied(each: ir.passes.PassBase, model: ir.Model, *, tolerance: float = ROUNDING) -> tuple[ir.Model, PassReport]:
    """Run a pass on a copy of `model`; assert that interface and outputs stay, and `modified` is told honestly."""
    result = each(model.clone())
    assert isinstance(result, PassReport)
    check_valid(result.model, type(each).__name__)
    Interface.of(model).check(result.model, type(each).__name__)
    assert_same_outputs(model, result.model, tolerance=tolerance)
    return result.model, result


def canonical(model: ir.Model, *, tolerance: float = ROUNDING) -> ir.Model:
    """Return the canonical form in opset 18 or newer; assert that it computes the same and is at rest."""
    raised, _ = applied(RaiseOpset(), model, tolerance=tolerance)
    after, _ = applied(Canonicalize(), raised, tolerance=tolerance)
    again = Canonicalize()(after.clone())
    assert not again.modified, again
    return after


def assert_same_outputs(before: ir.Model, after: ir.Model, *, tolerance: float) -> None:
    """Compare outputs by ONNX Runtime on random inputs from 0 to 1 and from -4 to 4."""
    feeds = random_inputs(inputs_of(before), seed=0)
    wide = {name: array * 8 - 4 if array.dtype.kind == "f" else array for name, array in feeds.items()}
    Equivalence.of(before, wide, seed=1).check(after, "under test", tolerance=tolerance)
