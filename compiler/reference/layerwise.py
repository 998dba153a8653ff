"""Compares a compiled network layer by layer: each inner value with what the reference makes of those before it.

Along a network roundings add up, above all those to integers, until they hide a layer that computes something else. So
the reference is given the compiled network's own inner values: each of its results is then one layer away from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import FreshNames
from edgec.profile import Arithmetic
from edgec.reference.compare import Comparison, compare, noise_of, worst_of
from edgec.reference.noise import REGROUPED, ROUNDED, perturbed
from edgec.reference.session import Reference
from edgec.reference.sketch import sketch, sketches

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

AMPLITUDE = 10
"""Perturbations of a single layer, as a multiple of those of whole networks: few values of a layer are near a tie of
its rounding, so that smaller ones may move none of them."""
FEW = 1e-3
"""Fraction of the elements, but at least two, that may be off by one step or by the tolerance: ties of a rounding."""
INDICES = frozenset({"bool", "int32", "int64", "uint32", "uint64"})
"""Types of values that are not compared, as ties decide them; layers that read them get the compiled network's."""


class Layers:
    """Compares the inner values of a compiled network, one inference after the other.

    Args:
        model: The network as the passes left it.
        arithmetic: Arithmetic of the board.
        seed: Seed of the perturbations that show the noise of each layer.
    """

    def __init__(self, model: ir.Model, arithmetic: Arithmetic, seed: int = 0) -> None:
        self._model, self._arithmetic, self._seed = model, arithmetic, seed
        self._references: tuple[Reference, Reference] | None = None
        self._given: dict[str, ir.Value] = {}
        self._errors: list[Comparison] = []
        self._noise: list[Comparison] = []

    def add(self, feeds: Arrays, shown: Arrays, outputs: Arrays) -> None:
        """Compare the values of one inference.

        Args:
            feeds: Inputs of the network by name.
            shown: Inner values of the compiled network by name, the same ones each time: in the shapes of the model;
                halves and integers may be in wider types.
            outputs: Its outputs by name.
        """
        exact, moved = self._references or self._open(list(shown))
        actual = {**{name: shown[name] for name in self._given}, **outputs}
        given = {value.name or "": _as(shown[name], value) for name, value in self._given.items()}
        known, noisy = (reference.run({**feeds, **given}) for reference in (exact, moved))
        names = [name for name in actual if known[name].dtype.name not in INDICES and known[name].size]
        expected = sketches(known, names)
        steps = {name: 1.0 if known[name].dtype.kind in "iu" else 0.0 for name in names}
        values = {name: self._without_ties(sketch(actual[name]), expected[name], steps[name]) for name in names}
        self._errors.append(compare(expected, values))
        self._noise.append(compare(expected, sketches(noisy, names)))

    @property
    def comparison(self) -> Comparison:
        """The largest errors of each value in all inferences so far, with the noise of its layer."""
        return worst_of(self._errors).with_noise(noise_of(worst_of(self._noise)))

    def wrong(self, tolerance: float) -> Comparison:
        """Return the comparison of the layers that are wrong, in their order.

        Args:
            tolerance: Accepted error of an element, relative to the range, if rounding explains no larger one.
        """
        found = self.comparison.outputs
        return Comparison(tuple(each for each in found if not each.within(tolerance, self._arithmetic.layer)))

    def _open(self, names: Sequence[str]) -> tuple[Reference, Reference]:
        computed = self._model if self._arithmetic.reference is None else self._arithmetic.reference(self._model)
        apart, self._given = cut(computed, names)
        amplitude = AMPLITUDE * self._arithmetic.rounding
        moved = perturbed(apart, amplitude, self._seed, ROUNDED | REGROUPED)
        self._references = Reference(apart), Reference(moved)
        return self._references

    def _without_ties(self, actual: Array, expected: Array, step: float) -> Array:
        """Return `actual` with a few elements as expected, if they are off by one `step` or by the tolerance."""
        few = min(actual.size, max(2, int(FEW * actual.size)))
        with np.errstate(invalid="ignore"):  # infinities are compared later
            errors = np.abs(actual - expected)
            limit = max(step, self._arithmetic.tolerance * float(np.ptp(expected)))
        largest = np.argpartition(errors, -few)[-few:]
        ties = largest[errors[largest] <= limit]
        settled = actual.copy()
        settled[ties] = expected[ties]
        return settled


def cut(model: ir.Model, names: Sequence[str]) -> tuple[ir.Model, dict[str, ir.Value]]:
    """Return a copy of `model` that takes its inner values `names` as inputs, and returns them as computed from these.

    Returns:
        The copy, and the new input for each name; values of unknown type are left as they were.
    """
    apart = model.clone()
    fresh = FreshNames(apart.graph)
    values = {output.name: output for node in apart.graph for output in node.outputs}
    given = {}
    for name in names:
        value = values[name]
        if value.dtype is None:
            continue
        given[name] = ir.val(fresh(f"{name}_given"), dtype=value.dtype, shape=value.shape)
        value.replace_all_uses_with(given[name])
        apart.graph.inputs.append(given[name])
        apart.graph.outputs.append(value)
    return apart, given


def _as(array: Array, value: ir.Value) -> Array:
    assert value.dtype is not None
    return np.asarray(array, value.dtype.numpy())
