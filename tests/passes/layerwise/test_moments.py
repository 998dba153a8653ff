"""Ranges and second moments, streamed, against the same computed at once."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.errors import BadOption
from edgec.passes.layerwise.gram import Gram, refit
from edgec.passes.quantize.ranges import Ranges
from edgec.reference.sweep import sweep
from tests.support.models import model, random_weights

RNG = np.random.default_rng(0)
SAMPLES = [RNG.standard_normal((1, 3, 4, 4), dtype=np.float32) * scale for scale in (1, 5, 0.1)]


def test_ranges_of_tensor_and_channels() -> None:
    whole, channels = Ranges(), Ranges(axis=1)
    for sample in SAMPLES:
        whole.update(sample)
        channels.update(sample)
    together = np.concatenate(SAMPLES)
    assert (whole.low, whole.high) == (together.min(), together.max())
    np.testing.assert_array_equal(channels.high, together.max(axis=(0, 2, 3)))


def test_gram_streams_to_the_moments_of_all_rows() -> None:
    x, y = RNG.standard_normal((2, 50, 3)), RNG.standard_normal((2, 50, 4))
    gram = Gram(2, 3)
    for part in (slice(0, 20), slice(20, 50)):
        gram.add(x[:, part], y[:, part])
    np.testing.assert_allclose(gram.h, x.transpose(0, 2, 1) @ x / 50)
    np.testing.assert_allclose(gram.g, y.transpose(0, 2, 1) @ x / 50)


def test_gram_tells_what_weights_leave_unexplained() -> None:
    x, y, w = RNG.standard_normal((1, 50, 3)), RNG.standard_normal((1, 50, 2)) + 7, RNG.standard_normal((1, 2, 3))
    gram = Gram(1, 3)
    gram.add(x, y)
    left = np.square(x @ w.transpose(0, 2, 1) - y).sum() / np.square(y - y.mean(axis=1)).sum()
    assert gram.unexplained(w) == pytest.approx(left)


def test_gram_without_outputs_has_no_cross_moments() -> None:
    with pytest.raises(ValueError, match="need outputs"):
        _ = Gram(1, 2).g


def test_refit_is_least_squares() -> None:
    x, y = RNG.standard_normal((200, 4)), RNG.standard_normal((200, 3))
    solution, *_ = np.linalg.lstsq(x, y, rcond=None)
    gram = Gram(1, 4)
    gram.add(x[None], y[None])
    np.testing.assert_allclose(refit(gram.h, gram.g, np.zeros((1, 3, 4)), 0.0)[0], solution.T, rtol=1e-9)


def test_refit_keeps_old_weights_where_the_data_says_nothing() -> None:
    x = np.zeros((1, 50, 2))
    x[..., 0] = RNG.standard_normal(50)
    gram = Gram(1, 2)
    gram.add(x, 3 * x[..., :1])
    np.testing.assert_allclose(refit(gram.h, gram.g, np.array([[[1.0, 5.0]]]), 1e-4)[0, 0], [3, 5], rtol=1e-3)


def test_one_sweep_serves_all_observers() -> None:
    built = model("g (float[1, 3, 4, 4] x) => (float[1, 2, 4, 4] y) { a = Conv (x, w)  y = Relu (a) }",
                  random_weights(w=(2, 3, 1, 1)))  # fmt: skip
    of_input, of_inner, of_output = Ranges(), Ranges(), Ranges()
    assert sweep(built, ({"x": s} for s in SAMPLES), {"x": [of_input], "a": [of_inner], "y": [of_output]}) == 3
    assert of_input.high == np.concatenate(SAMPLES).max()
    assert of_inner.low < 0 == of_output.low
    with pytest.raises(BadOption, match="no value 'b'"):
        sweep(built, [], {"b": [of_input]})
