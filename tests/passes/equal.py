"""Run passes on a model, and compare what a model computes before and after."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgec.model.infer import infer_shapes, resolve_all
from edgec.model.signature import inputs_of
from edgec.passes.base import PassReport
from edgec.passes.canonicalize import Canonicalize
from edgec.passes.canonicalize.canonicalize import RULES
from edgec.passes.canonicalize.cleanup import remove_duplicates
from edgec.passes.canonicalize.constants import fold_constants
from edgec.passes.canonicalize.measure import measure
from edgec.passes.contract import Equivalence, Interface, check_valid
from edgec.passes.raise_opset import RaiseOpset
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
    assert_every_step_lowers_the_measure(raised.clone())
    after, _ = applied(Canonicalize(), raised, tolerance=tolerance)
    again = Canonicalize()(after.clone())
    assert not again.modified, again
    return after


def assert_every_step_lowers_the_measure(model: ir.Model) -> None:
    """Canonicalize `model` step by step: that rounds end follows from every step lowering the measure."""
    infer_shapes(model)
    changed = True
    while changed:
        changed = False
        changed |= lowered(model, "resolve_all", lambda: bool(resolve_all(model)[0]))
        changed |= lowered(model, "fold_constants", lambda: fold_constants(model))
        changed |= lowered(model, "remove_duplicates", lambda: remove_duplicates(model))
        for node in list(model.graph.all_nodes()):
            for rule in RULES:
                if node.op_type in rule.ops and node.domain == "" and node.graph is not None:
                    changed |= lowered(model, rule.name, lambda rule=rule, node=node: isinstance(rule.apply(node), str))


def lowered(model: ir.Model, name: str, step: Callable[[], bool]) -> bool:
    """Do `step`; assert that the measure falls if it says that it did something. Return what it says."""
    before = measure(model)
    done = step()
    after = measure(model)
    assert after < before or (after == before and not done), f"{name}: {before} became {after}"
    return done


def assert_same_outputs(before: ir.Model, after: ir.Model, *, tolerance: float) -> None:
    """Compare outputs by ONNX Runtime on random inputs from 0 to 1 and from -4 to 4."""
    feeds = random_inputs(inputs_of(before), seed=0)
    wide = {name: array * 8 - 4 if array.dtype.kind == "f" else array for name, array in feeds.items()}
    Equivalence.of(before, wide, seed=1).check(after, "under test", tolerance=tolerance)
