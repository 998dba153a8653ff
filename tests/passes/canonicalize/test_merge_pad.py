"""Pad merged into Conv and pooling, and every reason why it may not be."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgec.passes.base import PassReport
from edgec.passes.canonicalize.canonicalize import Canonicalize
from tests.passes.equal import EXACT, applied, canonical
from tests.support.models import model, ops, random_weights

PADS = np.array([0, 0, 1, 0, 0, 0, 0, 1])
LOWEST = np.array(-np.inf, np.float32)
POOL = "kernel_shape = [2, 2]"


def pads_of(after) -> tuple[int, ...]:
    return tuple(list(after.graph)[-1].attributes["pads"].as_ints())


def test_into_conv_on_top_of_its_own_padding() -> None:
    before = model(
        """g (float[1, 2, 5, 5] x) => (float[1, 3, 6, 6] y) {
            p = Pad (x, pads)  y = Conv <pads = [0, 1, 1, 0]> (p, w) }""",
        random_weights(w=(3, 2, 2, 2)) | {"pads": PADS},
    )
    after = canonical(before)
    assert ops(after) == ["Conv"]
    assert pads_of(after) == (1, 1, 1, 1)


def test_pad_by_axes() -> None:
    before = model(
        """g (float[1, 2, 5, 5] x) => (float[1, 3, 4, 5] y) {
            p = Pad (x, pads, zero, axes)  y = Conv (p, w) }""",
        random_weights(w=(3, 2, 2, 2)) | {"pads": np.array([0, 1]), "zero": np.float32(0), "axes": np.array([-1])},
        opset=18,
    )
    after = canonical(before)
    assert ops(after) == ["Conv"]
    assert pads_of(after) == (0, 0, 0, 1)


@pytest.mark.parametrize("counted", [0, 1])
def test_into_average_pool_which_then_counts_it(counted: int) -> None:
    before = model(
        f"""g (float[1, 2, 5, 5] x) => (float[1, 2, 5, 5] y) {{
            p = Pad (x, pads)  y = AveragePool <{POOL}, count_include_pad = {counted}> (p) }}""",
        {"pads": PADS},
    )
    after = canonical(before)
    assert ops(after) == ["AveragePool"]
    assert next(iter(after.graph)).attributes["count_include_pad"].as_int() == 1


def test_into_max_pool_with_minus_infinity() -> None:
    before = model(
        f"g (float[1, 2, 5, 5] x) => (float[1, 2, 5, 5] y) {{ p = Pad (x, pads, low)  y = MaxPool <{POOL}> (p) }}",
        {"pads": PADS, "low": LOWEST},
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["MaxPool"]


def test_into_max_pool_with_zero_above_relu() -> None:
    before = model(
        f"""g (float[1, 2, 5, 5] x) => (float[1, 2, 5, 5] y) {{
            r = Relu (x)  p = Pad (r, pads)  y = MaxPool <{POOL}> (p) }}""",
        {"pads": PADS},
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Relu", "MaxPool"]


def test_in_front_of_max_pool_of_integers_is_left() -> None:
    before = model(
        f"g (int8[1, 2, 5, 5] x) => (int8[1, 2, 5, 5] y) {{ p = Pad (x, pads)  y = MaxPool <{POOL}> (p) }}",
        {"pads": PADS},
    )
    assert ops(canonical(before, tolerance=EXACT)) == ["Pad", "MaxPool"]


REFUSED = {
    "its mode is reflect": 'p = Pad <mode = "reflect"> (x, pads)  y = Conv (p, w)',
    "it pads with 1, but Conv with 0": "p = Pad (x, pads, one)  y = Conv (p, w)",
    "it pads batch or channels": "p = Pad (x, channels)  y = Conv (p, w3)",
    "its widths are computed or negative": "p = Pad (x, crop)  y = Conv (p, w)",
    "its value is computed": "v = ReduceMax <keepdims = 0> (x)  p = Pad (x, pads, v)  y = Conv (p, w)",
    "it pads with 0, but MaxPool with -infinity": f"p = Pad (x, pads)  y = MaxPool <{POOL}> (p)",
    "it pads with 1, but AveragePool with 0": f"p = Pad (x, pads, one)  y = AveragePool <{POOL}> (p)",
    "also pads and does not count its padding": f"p = Pad (x, pads)  y = AveragePool <{POOL}, pads = [0, 1, 0, 0]> (p)",
    "a window could lie in the padding alone": f"p = Pad (x, wide, low)  y = MaxPool <{POOL}> (p)",
    "windows of a pool with ceil_mode would move": (
        f"p = Pad (x, pads, low)  y = MaxPool <{POOL}, strides = [2, 2], ceil_mode = 1> (p)"
    ),
    "the indices of the maxima are used": (
        f"p = Pad (x, pads, low)  m, i = MaxPool <{POOL}> (p)  f = Cast <to = 1> (i)  y = Add (m, f)"
    ),
}
CONSTANTS = {
    "pads": PADS,
    "channels": np.array([0, 1, 0, 0, 0, 0, 0, 0]),
    "crop": np.array([0, 0, -1, 0, 0, 0, 0, 1]),
    "wide": np.array([0, 0, 2, 0, 0, 0, 0, 0]),
    "one": np.float32(1),
    "low": LOWEST,
} | random_weights(w=(2, 2, 2, 2), w3=(2, 3, 2, 2))


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason: str) -> None:
    body = REFUSED[reason]
    used = {name: array for name, array in CONSTANTS.items() if name in re.findall(r"\w+", body)}
    before = model(f"g (float[1, 2, 5, 5] x) => (float[1, 2, H, W] y) {{ {body} }}", used)
    after, report = applied(Canonicalize(), before)
    assert "Pad" in ops(after)
    assert isinstance(report, PassReport)
    assert any(reason in why for _, why in report.refusals), report.refusals


def test_left_if_its_output_has_other_readers() -> None:
    before = model(
        """g (float[1, 2, 5, 5] x) => (float[1, 3, 5, 5] y, float[1, 2, 6, 6] p) {
            p = Pad (x, pads)  y = Conv (p, w) }""",
        random_weights(w=(3, 2, 2, 2)) | {"pads": PADS},
    )
    assert ops(canonical(before)) == ["Pad", "Conv"]
