"""What every pass promises, checked: valid ONNX, the same interface, the same outputs up to its tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.errors import BadModel, InternalError, UnsupportedModel
from edgec.model.serialize import skeleton
from edgec.model.signature import described, inputs_of
from edgec.model.true_sizes import true_sizes
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]

ROUNDING_FACTOR = 4
"""A rewrite rounds at other places than the original, some of them more often."""


def check_valid(model: ir.Model, name: str) -> None:
    """Run ONNX's checker on what the pass `name` left.

    Raises:
        InternalError: With the checker's message.
    """
    try:
        onnx.checker.check_model(skeleton(model))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise InternalError(f"pass {name} left a model that is not valid ONNX: {error}") from error


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs: names, types, shapes as far as known; counts of `edgec.model.true_sizes` are none."""

    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @classmethod
    def of(cls, model: ir.Model) -> Interface:
        """Return the interface that `model` has now."""
        graph = model.graph
        fed = [value for value in graph.inputs if value.name not in graph.initializers]
        counts = true_sizes(model).counts
        given = [value for value in graph.outputs if value.name not in counts]
        return cls(tuple(map(_copied, fed)), tuple(map(_copied, given)))

    def check(self, model: ir.Model, name: str) -> None:
        """Compare the interface after the pass `name` with this one: more shapes may be known, all else is the same.

        Raises:
            InternalError: They differ; names the first difference.
        """
        after = Interface.of(model)
        for old, new in ((self.inputs, after.inputs), (self.outputs, after.outputs)):
            lost = [described(value) for value in old if not any(_allows(value, other) for other in new)]
            if lost or len(old) != len(new) or not all(map(_allows, old, new)):
                raise InternalError(f"pass {name} changed inputs or outputs: {', '.join(lost) or 'their order'}")


def _copied(value: ir.Value) -> ir.Value:
    return ir.val(value.name, type=value.type, shape=None if value.shape is None else value.shape.copy())


def _allows(before: ir.Value, after: ir.Value) -> bool:
    """Return whether `after` is the same as `before`, perhaps with more of its shape known."""
    if before.name != after.name or before.dtype not in (None, after.dtype):
        return False
    if before.shape is None or after.shape is None:
        return before.shape is None
    sizes = zip(before.shape, after.shape, strict=False)
    return len(before.shape) == len(after.shape) and all(old == new or not isinstance(old, int) for old, new in sizes)


@dataclass(frozen=True)
class _Case:
    """One set of inputs, what the original gives for it, and how far rounding may move that (name -> max abs)."""

    inputs: Mapping[str, Array]
    expected: Mapping[str, Array]
    rounding: Mapping[str, float]


@dataclass(frozen=True)
class Equivalence:
    """Inputs, and the outputs that the original gives for them.

    An output can hold next to nothing but rounding errors: a detector's score map over random noise spans 1e-5. So
    the original also runs with its inputs moved by one rounding step. Outputs may differ by the tolerance, or by
    `ROUNDING_FACTOR` times the larger of what that moved them and one rounding step of the output itself.
    """

    cases: tuple[_Case, ...]

    @classmethod
    def of(cls, model: ir.Model, feeds: Mapping[str, Array] | None, seed: int) -> Equivalence:
        """Run `model` on `feeds`, if any, and on random inputs of another seed than the golden ones.

        Raises:
            EdgecError: ONNX Runtime cannot run the model, or `feeds` do not fit it.
        """
        reference = Reference(model)
        inputs = [random_inputs(inputs_of(model), seed + 1), *([] if feeds is None else [feeds])]
        return cls(tuple(_case(reference, case) for case in inputs))

    def check(self, model: ir.Model, name: str, *, tolerance: float) -> None:
        """Compare the outputs of `model` after the pass `name` with the original's.

        Raises:
            InternalError: They differ by more than `tolerance`, relative to the range of the output.
        """
        try:
            reference = Reference(model)
            results = [reference.run(case.inputs) for case in self.cases]
        except (BadModel, UnsupportedModel) as error:
            raise InternalError(f"pass {name} left a model that cannot run: {error.problem}") from error
        for case, actual in zip(self.cases, results, strict=True):
            for output in compare(case.expected, actual).outputs:
                near_rounding = output.problem is None and output.max_abs <= case.rounding[output.name]
                if not (near_rounding or output.within(tolerance)):
                    raise InternalError(f"pass {name} changed the outputs (it promises {tolerance:.0e}): {output}")


def _case(reference: Reference, inputs: Mapping[str, Array]) -> _Case:
    expected = reference.run(inputs)
    moved = reference.run({name: _next_number(array) for name, array in inputs.items()})
    rounding = {}
    for each in compare(expected, moved).outputs:
        array = expected[each.name]
        step = 0.0 if array.dtype.kind != "f" else np.finfo(array.dtype).eps * float(np.max(np.abs(array), initial=0))
        rounding[each.name] = ROUNDING_FACTOR * max(step, each.max_abs if each.problem is None else 0.0)
    return _Case(inputs, expected, rounding)


def _next_number(array: Array) -> Array:
    # asarray: of a rank-0 array numpy makes a scalar, which ONNX Runtime does not take.
    return np.asarray(np.nextafter(array, np.array(np.inf, array.dtype))) if array.dtype.kind == "f" else array
