"""The estimate of a CPU's time: a roofline, good for comparing networks."""

from __future__ import annotations

import pytest

from edgec.model.cost import LayerCost
from edgec.targets.board import load_board
from edgec.targets.tvm.estimate import BYTES_PER_CYCLE, SHARE_OF_PEAK, CpuEstimate, integer_weight_bits, why_unsure


def layer(op: str, macs: int, weights: int = 0, activations: int = 0, name: str = "layer") -> LayerCost:
    return LayerCost(name, op, (1, 8, 8, 8), macs, weights // 4, weights, activations)


def test_many_multiply_accumulates_take_a_share_of_the_peak() -> None:
    board = load_board("rpi4")
    (seconds,) = CpuEstimate(board)([layer("Conv", 10**9, 1000, 1000)], "fp32")
    assert seconds == pytest.approx(1e9 / (SHARE_OF_PEAK * 4 * 1.5e9 * 4))


def test_few_on_much_data_take_what_the_data_takes() -> None:
    (seconds,) = CpuEstimate(load_board("rpi4"))([layer("Conv", 1000, 0, 10**6)], "fp32")
    assert seconds == pytest.approx(2e6 / (BYTES_PER_CYCLE * 1.5e9 * 4))


@pytest.mark.parametrize(("board", "gain"), [("rpi4", 1.1), ("rpi5", 2.0), ("x86-64-v3", 1.3)])
def test_integers_are_faster_most_of_all_with_a_dot_product(board: str, gain: float) -> None:
    estimate, layers = CpuEstimate(load_board(board)), [layer("Conv", 10**9, name="a"), layer("Conv", 10**9, name="b")]
    in_float, on_integers = estimate(layers, "int8", in_float={"a"})
    assert estimate(layers, "fp32") == (in_float, in_float)
    assert in_float / on_integers == pytest.approx(gain)


def test_what_is_joined_to_the_layer_before_is_free() -> None:
    relu, pool = CpuEstimate(load_board("host"))([layer("Relu", 0, 0, 1000), layer("MaxPool", 0, 0, 1000)], "fp32")
    assert relu == 0 < pool


@pytest.mark.parametrize(
    ("cpu", "features", "bits"),
    [("x86-64-v3", (), 7), ("x86-64-v3", ("+avxvnni",), 8), ("icelake-server", (), 8), ("x86-64-v4", (), 7)],
)
def test_weights_have_8_bits_where_products_of_bytes_do_not_saturate(
    cpu: str, features: tuple[str, ...], bits: int
) -> None:
    board = load_board("host").model_copy(update={"cpu": cpu, "features": features, "architecture": "x86_64"})
    assert integer_weight_bits(board) == bits


def test_a_cpu_without_figures_is_said_unless_the_board_file_has_them() -> None:
    known = load_board("rpi4")
    assert why_unsure(known) is None
    other = known.model_copy(update={"cpu": "cortex-a35"})
    said = why_unsure(other)
    assert said is not None
    assert (
        "no performance figures of the CPU cortex-a35: estimates assume 4 multiply-accumulates per cycle and no dot"
        in said
    )
    stated = other.model_copy(update={"macs_per_cycle": 2, "features": ("+dotprod",)})
    assert why_unsure(stated) is None
    slow, fast = (CpuEstimate(each)([layer("Conv", 10**9)], "fp32")[0] for each in (stated, known))
    assert slow == pytest.approx(2 * fast)
    assert "and a dot product" in str(why_unsure(other.model_copy(update={"features": ("+dotprod",)})))
