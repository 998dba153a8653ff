"""What is expected of an artefact: the reference's results, and how far rounding alone moves them."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.errors import InternalError, UnsupportedModel
from edgec.model.signature import inputs_of
from edgec.profile import Arithmetic
from edgec.reference.compare import Noise, compare, noise_of
from edgec.reference.expectation import compare_all, expect, rounding_noise
from edgec.reference.golden import SAMPLES, golden_samples, random_inputs
from edgec.reference.half import in_half
from edgec.reference.noise import ROUNDING, perturbed
from edgec.reference.session import Reference
from edgec.reference.sketch import ELEMENTS, chosen, sketch
from tests.support.models import model, random_weights

TOLERANCE = 1e-4
SINGLE = Arithmetic(TOLERANCE, exact=True)
NETWORK = """
g (float[1, 3, 16, 16] x) => (float[1, 5] y, int64[1] best)
{ a = Conv <pads = [1, 1, 1, 1]> (x, u)  b = Relu (a)  c = Conv (b, v)  d = GlobalAveragePool (c)  e = Flatten (d)
  y = Softmax (e)  best = ArgMax <axis = 1, keepdims = 0> (y) }
"""
WEIGHTS = {name: array / 4 for name, array in random_weights(u=(8, 3, 3, 3), v=(5, 8, 3, 3)).items()}


def network():
    return model(NETWORK, WEIGHTS, opset=18)


def runs(made, samples):
    return [Reference(made).run(feeds) for feeds in samples]


def test_noise_is_that_of_rounding() -> None:
    made = network()
    feeds = random_inputs(inputs_of(made), 0)
    exact = Reference(made).run(feeds)
    moved = Reference(perturbed(made, ROUNDING, 0)).run(feeds)
    noise = noise_of(compare(exact, moved))
    assert 1e-8 < noise["y"].largest < 1e-5
    assert noise["best"].largest == 0
    np.testing.assert_array_equal(Reference(perturbed(made, ROUNDING, 0)).run(feeds)["y"], moved["y"])


def test_a_perturbed_network_has_the_names_of_the_network() -> None:
    made = network()
    moved = perturbed(made, ROUNDING, 0)
    assert [value.name for value in moved.graph.outputs] == ["y", "best"]
    feeds = random_inputs(inputs_of(made), 0)
    tapped = Reference(moved, ["a", "c", "e"]).run(feeds)
    for name in ("a", "c", "e"):
        np.testing.assert_allclose(tapped[name], Reference(made, [name]).run(feeds)[name], atol=1e-4)


def test_in_half_rounds_weights_and_pictures() -> None:
    made = network()
    (feeds, *_) = golden_samples(inputs_of(made), 0)
    values = Reference(in_half(made), ["a", "c", "e"]).run(feeds)
    for name in ("a", "c"):
        np.testing.assert_array_equal(values[name], values[name].astype(np.float16).astype(np.float32))
    assert compare(Reference(made).run(feeds), values | {}).outputs[0].relative > 0


def test_a_map_of_nothing_but_noise_is_no_failure() -> None:
    """A text detector's map where there is no text: errors are large beside its range, and so are the reference's."""
    text = """g (float[1, 3, 16, 16] x) => (float[1, 1, 14, 14] y) <float many = {1e6}, float low = {-16}>
        { a = Conv (x, u)  b = Conv (x, w)  c = Sub (a, b)  d = Mul (c, many)  e = Add (d, low)  y = Sigmoid (e) }"""
    u = random_weights(u=(1, 3, 3, 3))["u"]
    made = model(text, {"u": u, "w": u * np.float32(1 + 1e-6)}, opset=18)
    samples = golden_samples(inputs_of(made), 0)
    expected = expect(made, samples, runs(made, samples), SINGLE)
    others = runs(perturbed(made, ROUNDING, 7), samples)
    comparison = compare_all(expected.outputs, others)
    assert not comparison.within(TOLERANCE)
    assert comparison.with_noise(expected.noise).within(TOLERANCE)


def test_integers_may_differ_as_often_as_the_references() -> None:
    """Classes of pixels where two scores are equal but for rounding."""
    text = """g (float[1, 3, 16, 16] x) => (int64[1, 1, 16, 16] y)
        { a = Conv (x, u)  b = Conv (x, w)  c = Concat <axis = 1> (a, b)  y = ArgMax <axis = 1> (c) }"""
    u = random_weights(u=(1, 3, 1, 1))["u"]
    made = model(text, {"u": u, "w": u * np.float32(1 + 1e-6)}, opset=18)
    samples = golden_samples(inputs_of(made), 0)
    expected = expect(made, samples, runs(made, samples), SINGLE)
    comparison = compare_all(expected.outputs, runs(perturbed(made, ROUNDING, 7), samples))
    assert not comparison.within(TOLERANCE)
    assert comparison.with_noise(expected.noise).within(TOLERANCE)
    wrong = [{"y": 1 - run["y"]} for run in expected.outputs]
    assert not compare_all(expected.outputs, wrong).with_noise(expected.noise).within(TOLERANCE)


def test_passes_that_change_the_network_are_caught() -> None:
    made = network()
    samples = golden_samples(inputs_of(made), 0)
    zeroed = WEIGHTS["v"].copy()
    zeroed[3] = 0
    changed = model(NETWORK, WEIGHTS | {"v": zeroed}, opset=18)
    with pytest.raises(InternalError, match="the passes changed what the network computes"):
        expect(changed, samples, runs(made, samples), SINGLE)


def test_a_difference_that_only_the_original_explains_is_none() -> None:
    """(x + 4096) / 8 - 512 loses most digits of x; what the passes make of it, x / 8, does not."""
    text = "g (float[1, 64] x) => (float[1, 64] y) <float a = {4096}, float b = {0.125}, float c = {-512}>"
    original = model(text + "{ s = Add (x, a)  t = Mul (s, b)  y = Add (t, c) }", opset=18)
    rewritten = model(text + "{ y = Mul (x, b) }", opset=18)
    samples = [random_inputs(inputs_of(original), 0)]
    wanted = runs(original, samples)
    with pytest.raises(InternalError, match="the passes changed"):
        expect(rewritten, samples, wanted, SINGLE)
    expected = expect(rewritten, samples, wanted, SINGLE, original=original)
    assert compare_all(wanted, runs(rewritten, samples)).with_noise(expected.noise).within(TOLERANCE)
    doubled = [{"y": 2 * run["y"]} for run in wanted]
    assert not compare_all(wanted, doubled).with_noise(expected.noise).within(TOLERANCE)


def test_halves_are_noisy_by_their_own_rounding() -> None:
    made = model("g (float[1, 64] x) => (float[1, 64] y) { a = Cast <to = 10> (x)  y = Cast <to = 1> (a) }", opset=18)
    samples = [random_inputs(inputs_of(made), 0)]
    assert 1e-5 < rounding_noise(made, samples, runs(made, samples))["y"].largest < 5e-3


def test_samples_that_overflow_are_left_out() -> None:
    made = model("g (float[1, 3, 16, 16] x) => (float[1, 3, 16, 16] y) { y = Log (x) }", opset=18)
    samples = golden_samples(inputs_of(made), 0)
    assert len(samples) == SAMPLES
    assert len(expect(made, samples, runs(made, samples), SINGLE).inputs) < SAMPLES


def test_what_the_precision_costs_is_told() -> None:
    made = network()
    samples = golden_samples(inputs_of(made), 0)
    expected = expect(made, samples, runs(made, samples), Arithmetic(1e-2, 1e-4, in_half, exact=True))
    assert expected.precision_error is not None
    assert 1e-6 < expected.precision_error < 1e-2
    assert expect(made, samples, runs(made, samples), SINGLE).precision_error is None


@pytest.mark.parametrize("shape", [(1, 700, 9, 9), (2, 3, 40, 50), (1, 2000, 1, 1), (50, 384), (1, 64, 33), (7,), ()])
def test_a_sketch_holds_elements_of_every_channel(shape: tuple[int, ...]) -> None:
    axis = 1 if len(shape) > 2 else len(shape) - 1
    channels = np.zeros(shape, np.int32)
    if shape:
        channels += np.arange(shape[axis]).reshape([-1 if at == axis % len(shape) else 1 for at in range(len(shape))])
    found = sketch(channels)
    assert set(found.astype(int)) == set(channels.reshape(-1))
    assert found.size <= max(ELEMENTS, 2 * max(shape, default=1))
    np.testing.assert_array_equal(found, sketch(channels))


def test_values_to_sketch_are_spread_over_the_network() -> None:
    few = chosen({f"v{index}": (1, 8, 4, 4) for index in range(500)})
    assert len(few) < 100
    assert few[0] == "v0"
    assert int(few[-1][1:]) > 490
    assert not chosen({"huge": (1, 1 << 30)})


UNSTEADY = """g (float[1, 4, 8] x) => (int64[3, n] y) <float zero = {0}>
    { a = MatMul (x, w)  b = Sub (a, x)  c = Greater (b, zero)  y = NonZero (c) }"""
"""What a multiplication by the identity adds to x: nothing, or what rounding alone makes of it."""


def unsteady():
    return model(UNSTEADY, {"w": np.eye(8, dtype=np.float32)}, opset=18)


def test_samples_for_which_rounding_changes_the_number_of_rows_are_left_out() -> None:
    made = unsteady()
    samples = [*golden_samples(inputs_of(made), 0), {"x": np.zeros((1, 4, 8), np.float32)}]
    expected = expect(made, samples, runs(made, samples), SINGLE)
    assert [sample["x"].any() for sample in expected.inputs] == [False]


def test_draws_that_onnx_runtime_cannot_run_have_no_noise() -> None:
    """Rows of what is found, which Reshape cannot divide if nothing is: exactly one is, and every draw loses it."""
    text = """g (float[1, 4, 8] x) => (float[n, m] y) <float least = {0}, int64[2] sizes = {0, -1}>
        { a = MatMul (x, w)  b = Sub (a, x)  s = Abs (b)  t = ReduceMax (s)  c = LessOrEqual (t, least)
          i = NonZero (c)  j = Transpose (i)  f = Cast <to = 1> (j)  y = Reshape (f, sizes) }"""
    made = model(text, {"w": np.eye(8, dtype=np.float32)}, opset=18)
    samples = golden_samples(inputs_of(made), 0)[:1]
    expected = expect(made, samples, runs(made, samples), SINGLE)
    assert expected.noise["y"] == Noise()


def test_a_network_whose_rows_are_nothing_but_rounding_cannot_be_compared() -> None:
    made = unsteady()
    samples = golden_samples(inputs_of(made), 0)
    wanted = [{"y": np.ones((3, 1), np.int64)} for _ in samples]
    with pytest.raises(UnsupportedModel, match="rounding alone changes how many rows output 'y' has"):
        expect(made, samples, wanted, SINGLE)
