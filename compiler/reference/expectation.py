"""Expected results of a compiled network: outputs and inner values for some inputs, and how rounding changes both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import CannotRunInputs, InternalError, UnsupportedModel
from edgec.profile import Arithmetic
from edgec.reference.compare import Comparison, Noise, compare, noise_of, worst_of
from edgec.reference.noise import REGROUPED, ROUNDED, ROUNDING, perturbed
from edgec.reference.ranked import ranked_outputs
from edgec.reference.rows import Rows, aligned
from edgec.reference.session import Reference
from edgec.reference.sketch import sketch

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

NO_ROWS: Mapping[str, Rows] = {}
DRAWS = 6
"""Number of inferences with perturbed roundings: the noise is the largest error of any of them."""
PASSES_TOLERANCE = 1e-4
"""Accepted change of an output by the passes, relative to its range, if its own noise is lower."""


@dataclass(frozen=True)
class Expectation:
    """What the reference computes for each of some samples.

    Attributes:
        inputs: Input name -> array, one mapping per sample.
        outputs: Output name -> array, one mapping per sample.
        inner: Name of an inner value -> its sketch, one mapping per sample.
        noise: Noise of outputs and sketches, by name.
        rows: Rows of the outputs that are ordered by a ranking.
        precision_error: Change of the outputs by the board's precision alone: largest error relative to the range;
            None if the precision is single, or the network's own.
    """

    inputs: tuple[Arrays, ...]
    outputs: tuple[Arrays, ...]
    inner: tuple[Arrays, ...]
    noise: Mapping[str, Noise]
    rows: Mapping[str, Rows]
    precision_error: float | None


def expect(
    model: ir.Model,
    samples: Sequence[Arrays],
    wanted: Sequence[Arrays],
    arithmetic: Arithmetic,
    inner: Sequence[str] = (),
    seed: int = 0,
    *,
    original: ir.Model | None = None,
) -> Expectation:
    """Run `model` on `samples` as the board computes it, once exactly and then with perturbed roundings.

    Samples but the first are left out if they give infinities or NaN: they are not valid inputs of such a network. So
    are samples for which rounding alone changes the shape of an output, if there are others.

    Args:
        model: The network as the passes left it.
        samples: Input arrays by name.
        wanted: Outputs, by name, of the network before the passes on these samples.
        arithmetic: Arithmetic of the board.
        inner: Names of inner values of `model`.
        seed: Seed of the perturbations.
        original: The network that computes `wanted`: if the passes removed sums that cancel out, only its noise
            explains a difference.

    Raises:
        InternalError: The outputs of `model` differ from `wanted`.
        UnsupportedModel: They do, and rounding alone changes their shapes for every sample.
    """
    computed = model if arithmetic.reference is None else arithmetic.reference(model)
    taps = [name for name in inner if name not in wanted[0]]
    runs = _run(Reference(computed, taps), samples, taps)
    kept = [place for place, run in enumerate(runs) if place == 0 or _is_finite(run)]
    used, exact, wanted = ([each[place] for place in kept] for each in (samples, runs, wanted))
    # Bounded sizes hide which ranking orders the rows, so the original is asked too.
    rows = {**(ranked_outputs(original) if original is not None else {}), **ranked_outputs(model)}
    moved = _moved(computed, used, arithmetic.rounding, seed, taps)
    steady = [place for place, run in enumerate(exact) if not _changes_shape(run, moved[place :: len(used)])]
    if steady and len(steady) < len(used):
        moved = [run for place, run in enumerate(moved) if place % len(used) in steady]
        used, exact, wanted = ([each[place] for place in steady] for each in (used, exact, wanted))
    noise = _noise(exact, moved, rows)
    results = [{name: run[name] for name in one} for run, one in zip(exact, wanted, strict=True)]
    plain = results if computed is model else _run(Reference(model), used, ())
    changes = compare_all(wanted, plain, rows)
    if original is not None and changes.with_noise(noise).failed(PASSES_TOLERANCE) is not None:
        own = rounding_noise(original, used, wanted, seed=seed, rows=rows, operators=ROUNDED | REGROUPED)
        noise |= {name: each.or_more(noise[name]) for name, each in own.items()}
    changed = changes.with_noise(noise).failed(PASSES_TOLERANCE)
    if changed is not None and not steady:
        problem = f"rounding alone changes how many rows output {changed.name!r} has, for each of the golden inputs"
        raise UnsupportedModel(f"{problem}: no artefact can be compared with it", remedy="Give others with --input.")
    if changed is not None:
        raise InternalError(f"the passes changed what the network computes (--verify-passes tells which): {changed}")
    inside = tuple({name: run[name] for name in taps} for run in exact)
    if computed is model:
        return Expectation(tuple(used), tuple(wanted), inside, noise, rows, None)
    loss = compare_all(wanted, results, rows).relative
    return Expectation(tuple(used), tuple(results), inside, noise, rows, loss)


def rounding_noise(
    model: ir.Model,
    samples: Sequence[Arrays],
    exact: Sequence[Arrays],
    *,
    rounding: float = ROUNDING,
    seed: int = 0,
    inner: Sequence[str] = (),
    rows: Mapping[str, Rows] = NO_ROWS,
    operators: Collection[str] = ROUNDED,
) -> dict[str, Noise]:
    """Return how much rounding alone changes the results of `model`, by name.

    Args:
        model: Any model.
        samples: Input arrays by name.
        exact: Its results on them: outputs, and sketches of the values in `inner`.
        rounding: Relative error of each result of `operators`, see `perturbed`.
        seed: Seed of the perturbations.
        inner: Names of inner values of `model`.
        rows: Rows of ranked outputs, which are compared as sets.
        operators: Operators whose results are perturbed.
    """
    return _noise(exact, _moved(model, samples, rounding, seed, inner, operators), rows)


def _moved(
    model: ir.Model,
    samples: Sequence[Arrays],
    rounding: float,
    seed: int,
    inner: Sequence[str],
    operators: Collection[str] = ROUNDED,
) -> list[Arrays]:
    """Return the results of `model` with perturbed roundings on all samples, one draw after the other.

    A draw that ONNX Runtime cannot run, as a detector may find nothing then, has no results.
    """
    reference, results = Reference(perturbed(model, rounding, seed, operators), inner), []
    for feeds in list(samples) * -(-DRAWS // len(samples)):
        try:
            results += _run(reference, [feeds], inner)
        except CannotRunInputs:
            results.append({})
    return results


def _noise(exact: Sequence[Arrays], moved: Sequence[Arrays], rows: Mapping[str, Rows]) -> dict[str, Noise]:
    """Return the noise of each result over all draws; draws that change its shape do not count."""
    found = {name: Noise() for name in exact[0]}
    for place, run in enumerate(moved):
        one = {name: array for name, array in exact[place % len(exact)].items() if name in run}
        for name, noise in noise_of(compare(one, aligned(one, run, rows))).items():
            found[name] = noise.or_more(found[name])
    return found


def _changes_shape(exact: Arrays, draws: Sequence[Arrays]) -> bool:
    """Return whether a draw gives a result another shape, or none: a detector then finds more, or less."""
    return any(name not in run or run[name].shape != array.shape for run in draws for name, array in exact.items())


def _is_finite(arrays: Arrays) -> bool:
    return all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")


def compare_all(expected: Sequence[Arrays], actual: Sequence[Arrays], rows: Mapping[str, Rows] = NO_ROWS) -> Comparison:
    """Return the worst error of each output over all samples; ranked rows are compared as sets."""
    pairs = zip(expected, actual, strict=True)
    return worst_of(compare(one, aligned(one, other, rows)) for one, other in pairs)


def _run(reference: Reference, samples: Sequence[Arrays], inner: Sequence[str]) -> list[Arrays]:
    results: list[Arrays] = []
    for feeds in samples:
        arrays = reference.run(feeds)
        results.append({name: sketch(array) if name in inner else array for name, array in arrays.items()})
    return results
