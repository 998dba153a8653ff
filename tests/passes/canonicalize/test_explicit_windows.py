"""Padding, strides and kernels written out, whatever way the exporter chose to leave them out."""

from __future__ import annotations

import pytest

from tests.passes.equal import canonical
from tests.support.models import model, ops, random_weights

AUTO = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


@pytest.mark.parametrize("auto_pad", AUTO)
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
def test_auto_pad(op: str, strides: tuple[int, int], auto_pad: str) -> None:
    weights = random_weights(w=(4, 4, 3, 2)) if op.startswith("Conv") else {}
    kernel = ", w" if weights else ""
    sizes = "" if weights else ", kernel_shape = [3, 2]"
    before = model(
        f"""g (float[1, 4, 7, 8] x) => (float[1, 4, H, W] y) {{
            y = {op} <auto_pad = "{auto_pad}", strides = [{strides[0]}, {strides[1]}]{sizes}> (x{kernel}) }}""",
        weights,
    )
    (node,) = canonical(before).graph
    assert "auto_pad" not in node.attributes
    assert {"kernel_shape", "strides", "pads"} <= set(node.attributes)


def test_output_shape_of_a_transposed_convolution() -> None:
    before = model(
        """g (float[1, 4, 5, 5] x) => (float[1, 2, 10, 9] y) {
            y = ConvTranspose <output_shape = [10, 9], strides = [2, 2]> (x, w) }""",
        random_weights(w=(4, 2, 3, 3)),
    )
    (node,) = canonical(before).graph
    assert "output_shape" not in node.attributes
    assert list(node.attributes["pads"].as_ints()) == [1, 1, 0, 1]


def test_output_shape_slightly_larger_than_the_kernel_reaches_is_output_padding() -> None:
    before = model(
        """g (float[1, 4, 5, 5] x) => (float[1, 2, 12, 11] y) {
            y = ConvTranspose <output_shape = [12, 11], strides = [2, 2]> (x, w) }""",
        random_weights(w=(4, 2, 3, 3)),
    )
    (node,) = canonical(before).graph
    assert list(node.attributes["output_padding"].as_ints()) == [1, 0]
    assert list(node.attributes["pads"].as_ints()) == [0, 0, 0, 0]


def test_what_is_written_out_already_is_left() -> None:
    before = model(
        """g (float[1, 4, 5, 5] x) => (float[1, 2, 5, 5] y) {
            y = Conv <kernel_shape = [3, 3], strides = [1, 1], dilations = [1, 1], pads = [1, 1, 1, 1], group = 1>
                (x, w) }""",
        random_weights(w=(2, 4, 3, 3)),
    )
    assert ops(canonical(before)) == ["Conv"]
