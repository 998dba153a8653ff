"""The passes of a compilation, in order, and the checks after each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec import registry
from edgec.errors import BadOption, EdgecError, InternalError
from edgec.model.signature import inputs_of, outputs_of
from edgec.options import CompileOptions
from edgec.passes.base import Pass, PassReport
from edgec.passes.bound_sizes import BoundSizes
from edgec.passes.canonicalize import Canonicalize
from edgec.passes.contract import Equivalence, Interface, check_valid
from edgec.passes.decode_weights import DecodeWeights
from edgec.passes.expand import ExpandOperators
from edgec.passes.fold_batchnorm import FoldBatchNorm
from edgec.passes.raise_opset import RaiseOpset
from edgec.profile import Profile
from edgec.record import Record

Array = np.ndarray[Any, Any]


def passes(profile: Profile, options: CompileOptions) -> list[ir.passes.PassBase]:
    """Return the passes to run, in order.

    Args:
        profile: Profile of the target.
        options: Settings of the compilation.

    Raises:
        BadOption: A plugin pass is unknown or not a pass.
    """
    return [
        *canonical_passes(profile),
        *([BoundSizes(profile)] if profile.bounded_sizes else []),  # in canonical form known sizes are constants
        *[_plugin(name, profile) for name in options.extra_passes],  # last, because they may rely on canonical form
    ]


def canonical_passes(profile: Profile | None = None) -> list[ir.passes.PassBase]:
    """Return the passes that bring any model to canonical form, in order; for a target, if `profile` is given."""
    order = (
        RaiseOpset,  # first, because all others know only one form of each operator
        ExpandOperators,  # before folding, because definitions contain constants
        Canonicalize,  # before folding: Pad, Identity and Constant nodes stand between batch norms and their layers
        DecodeWeights,  # constants are known now, and batch norms fold into decoded weights
        FoldBatchNorm,
        Canonicalize,  # again: scale and shift of a remaining batch norm now merge with the Mul and Add beside them
    )
    return [each(profile) for each in order]


def run(
    model: ir.Model,
    *,
    profile: Profile,
    options: CompileOptions,
    record: Record,
    feeds: Mapping[str, Array] | None = None,
    original: ir.Model | None = None,
) -> ir.Model:
    """Run the passes on a copy of `model` and return it.

    After each pass the model is valid ONNX with the inputs and outputs (names, shapes, dtypes) of the beginning. With
    `options.verify_passes` its outputs are also compared with those of the original, on `feeds` and on random inputs.

    Args:
        model: Model with static input shapes; it is not modified.
        profile: Profile of the target.
        options: Settings of the compilation.
        record: Receives what each pass did and refused.
        feeds: Input arrays by name for the verification; the user's, if there are any.
        original: Model to compare with; by default `model`.

    Raises:
        UnsupportedModel: The model has no canonical form, or the size of an output depends on the data.
        BadOption: A plugin pass is unknown or not a pass.
        InternalError: A pass broke its contract; the message names it.
    """
    if any(value.shape is None for value in model.graph.outputs):  # not even a rank, without which ONNX is not valid
        outputs_of(model)
    interface = Interface.of(model)
    equivalence = Equivalence.of(original or model, feeds, options.seed) if options.verify_passes else None
    current = model.clone()
    for each in passes(profile, options):
        name = getattr(each, "name", type(each).__name__)
        with record.stage(f"pass {name}"):
            result = _call(each, current, name)
            current = result.model
            _note(record, name, result)
            check_valid(current, name)
            interface.check(current, name)
            if equivalence is not None and result.modified:
                equivalence.check(current, name, tolerance=float(getattr(each, "tolerance", 1e-5)))
    inputs_of(current), outputs_of(current)  # refuse sizes that are still open after folding
    return current


def _call(each: ir.passes.PassBase, model: ir.Model, name: str) -> ir.passes.PassResult:
    try:
        return each(model)
    except (EdgecError, InternalError):
        raise
    except Exception as error:
        raise InternalError(f"pass {name} failed: {type(error).__name__}: {error}") from error


def _note(record: Record, name: str, result: ir.passes.PassResult) -> None:
    report = result if isinstance(result, PassReport) else PassReport(result.model, result.modified)
    record.ran(name, modified=report.modified, changes=report.changes)
    for where, reason in report.refusals:
        record.refuse(name, where, reason)


def _plugin(name: str, profile: Profile) -> ir.passes.PassBase:
    given = registry.load("passes", name)
    made = given(profile) if isinstance(given, type) and issubclass(given, Pass) else given()
    if not isinstance(made, ir.passes.PassBase):
        raise BadOption(
            f"pass {name!r} is a {type(made).__name__}",
            remedy="Derive a plugin pass from edgec.passes.base.Pass, or from onnx_ir.passes.PassBase.",
        )
    return made
