"""Checks of the contract of every pass: valid ONNX, the same interface, the same outputs up to its tolerance."""

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
from edgec.reference.compare import NOISE_FACTOR, Comparison, Noise, OutputComparison
from edgec.reference.expectation import compare_all, rounding_noise
from edgec.reference.golden import random_inputs
from edgec.reference.noise import REGROUPED, ROUNDED
from edgec.reference.ranked import ranked_outputs
from edgec.reference.rows import Rows
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]


def check_valid(model: ir.Model, name: str) -> None:
    """Run ONNX's checker on the result of the pass `name`.

    Raises:
        InternalError: The model is invalid; contains the checker's message.
    """
    try:
        onnx.checker.check_model(skeleton(model))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise InternalError(f"pass {name} left a model that is not valid ONNX: {error}") from error


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs: names, types, known shapes; counts of `edgec.model.true_sizes` are left out."""

    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @classmethod
    def of(cls, model: ir.Model) -> Interface:
        """Return the present interface of `model`."""
        graph = model.graph
        fed = [value for value in graph.inputs if value.name not in graph.initializers]
        counts = true_sizes(model).counts
        given = [value for value in graph.outputs if value.name not in counts]
        return cls(tuple(map(_copied, fed)), tuple(map(_copied, given)))

    def check(self, model: ir.Model, name: str) -> None:
        """Compare the interface after the pass `name` with this one: more shapes may be known, all else is unchanged.

        Raises:
            InternalError: They differ; the message names the first difference.
        """
        after = Interface.of(model)
        for old, new, allows in ((self.inputs, after.inputs, _allows), (self.outputs, after.outputs, _allows_output)):
            lost = [described(value) for value in old if not any(allows(value, other) for other in new)]
            if lost or len(old) != len(new) or not all(map(allows, old, new)):
                raise InternalError(f"pass {name} changed inputs or outputs: {', '.join(lost) or 'their order'}")


def _copied(value: ir.Value) -> ir.Value:
    return ir.val(value.name, type=value.type, shape=None if value.shape is None else value.shape.copy())


def _allows(before: ir.Value, after: ir.Value) -> bool:
    """Return whether `after` is the same as `before`, possibly with more of its shape known."""
    if before.name != after.name or before.dtype not in (None, after.dtype):
        return False
    if before.shape is None or after.shape is None:
        return before.shape is None
    sizes = zip(before.shape, after.shape, strict=False)
    return len(before.shape) == len(after.shape) and all(old == new or not isinstance(old, int) for old, new in sizes)


def _allows_output(before: ir.Value, after: ir.Value) -> bool:
    """Return the same for an output, whose shape may come from the file alone.

    With open sizes exporters get its rank wrong. A size that the file gives may turn out to depend on the data, when an
    operator of which ONNX infers no shape (a window function, STFT) is replaced by what it computes.
    """
    old, new = before.shape, after.shape
    if old is None or new is None:
        return _allows(before, after)
    if len(old) != len(new):
        return not old.is_static() and _allows(ir.val(before.name, type=before.type), after)
    sizes = [a if isinstance(b, int) else None for a, b in zip(old, new, strict=True)]
    return _allows(ir.val(before.name, type=before.type, shape=ir.Shape(sizes)), after)


@dataclass(frozen=True)
class Equivalence:
    """A model, inputs, and its outputs for them.

    An output can consist of almost nothing but rounding errors: a detector's score map on random noise spans 1e-5,
    sums cancel out, half-precision values are rounded wherever a runtime likes. So outputs may differ by the tolerance,
    or by a few times the noise of the model itself: its outputs with perturbed roundings and inputs.
    """

    model: ir.Model
    samples: tuple[Mapping[str, Array], ...]
    expected: tuple[Mapping[str, Array], ...]

    @classmethod
    def of(cls, model: ir.Model, feeds: Mapping[str, Array] | None, seed: int) -> Equivalence:
        """Run `model` on `feeds`, if any, and on random inputs of another seed than the golden ones.

        Raises:
            EdgecError: ONNX Runtime cannot run the model, or `feeds` do not fit it.
        """
        reference = Reference(model)
        samples = (random_inputs(inputs_of(model), seed + 1), *(() if feeds is None else (feeds,)))
        return cls(model, samples, tuple(map(reference.run, samples)))

    def check(self, model: ir.Model, name: str, *, tolerance: float) -> None:
        """Compare the outputs of `model` after the pass `name` with the original's.

        Raises:
            InternalError: They differ by more than `tolerance`, relative to the range of the output, and by more than
                rounding explains.
        """
        try:
            results = list(map(Reference(model).run, self.samples))
        except (BadModel, UnsupportedModel) as error:
            raise InternalError(f"pass {name} left a model that cannot run: {error.problem}") from error
        rows = ranked_outputs(self.model)
        comparison = compare_all(self.expected, results, rows)
        off = [each for each in comparison.outputs if not (each.within(tolerance) or self._is_one_step(each))]
        if not off:
            return
        wrong = Comparison(tuple(off)).with_noise(self._noise(rows)).failed(tolerance)
        if wrong is not None:
            raise InternalError(f"pass {name} changed the outputs (it promises {tolerance:.0e}): {wrong}")

    def _is_one_step(self, output: OutputComparison) -> bool:
        """Return whether an error is about one rounding step of the output itself: some rewrites round more often."""
        if output.problem is not None:
            return False
        arrays = [each[output.name] for each in self.expected]
        largest = max(float(np.max(np.abs(array), initial=0)) for array in arrays)
        return output.max_abs <= NOISE_FACTOR * float(np.finfo(arrays[0].dtype).eps) * largest

    def _noise(self, rows: Mapping[str, Rows]) -> dict[str, Noise]:
        moved = [{name: _next_number(array) for name, array in feeds.items()} for feeds in self.samples]
        return rounding_noise(self.model, moved, self.expected, rows=rows, operators=ROUNDED | REGROUPED)


def _next_number(array: Array) -> Array:
    # asarray: for rank 0 numpy returns a scalar, which ONNX Runtime does not accept.
    return np.asarray(np.nextafter(array, np.array(np.inf, array.dtype))) if array.dtype.kind == "f" else array
