"""Integer layers by this machine's dot product, against ONNX Runtime on the same Q/DQ network: at most a step apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tvm")

from edgec.targets.board import Board, load_board
from edgec.targets.tvm.cpu import llvm_target, needed_flags, resolve
from edgec.targets.tvm.cpu_flags import machine_flags
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model
from tests.support.lowered import HOST, MODEL, execute
from tests.support.quantized_layers import Pair, QuantizedNetwork, lowered, reference

OUT = Pair(scale=0.05, zero_point=93)
needs_dot_product = pytest.mark.skipif(MODEL.byte_type is None, reason="this CPU has no dot product of bytes")


def check(network: QuantizedNetwork, output: str, *rules: str, step: float = OUT.scale, board: Board = HOST) -> None:
    """Run `network` up to `output`; `rules` have to be among those that made its kernels, fallbacks are not allowed."""
    model, target = network.model(output), llvm_target(resolve(board))
    module, report = lowered(model, cpu_model(board), target)
    rng = np.random.default_rng(1)
    feeds = [rng.normal(0, 1, tuple(value.shape.numpy())).astype(np.float32) for value in model.graph.inputs]
    (got,) = execute(module, target, feeds)
    expected = reference(model, feeds)
    difference = np.abs(got.astype(np.float64) - expected)
    assert got.shape == expected.shape
    assert difference.max() <= step * 1.001
    assert np.mean(difference > step / 2) < 0.001  # steps apart are ties within a float's rounding, and rare
    assert set(rules) <= set(report.counts()), report.counts()
    assert not report.fallbacks()


@pytest.mark.parametrize("scale", [0.0, 1e-42, -0.02])
@pytest.mark.parametrize("place", ["input", "middle", "weights"])
def test_scales_that_are_not_positive(scale: float, place: str) -> None:
    network = QuantizedNetwork()
    source = network.input((1, 8, 9, 9), Pair(scale=scale) if place == "input" else None)
    inner = network.conv(source, 8, 16, (3, 3), pads=[1, 1, 1, 1])
    source = network.pair(inner, Pair(scale=scale) if place == "middle" else OUT)
    scales = np.full(8, 0.01, np.float32)
    scales[::3] = scale if place == "weights" else 0.01
    integers = network.constant(network.rng.integers(-127, 128, (8, 16, 1, 1), dtype=np.int8))
    weights = network.node("DequantizeLinear", [integers, network.constant(scales)], axis=0)
    bias = network.constant(network.rng.normal(0, 0.3, 8).astype(np.float32))
    output = network.pair(network.node("Conv", [source, weights, bias]), OUT)
    model, target = network.model(output), llvm_target(resolve(HOST))
    feeds = [np.random.default_rng(1).normal(0, 1, (1, 8, 9, 9)).astype(np.float32)]
    (got,) = execute(lowered(model, cpu_model(HOST), target)[0], target, feeds)
    assert np.abs(got - reference(model, feeds)).max() <= OUT.scale * 1.001


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = {
    "3x3": ((1, 16, 13, 13), 32, (3, 3), {"pads": [1, 1, 1, 1]}),
    "three channels, stride 2": ((1, 3, 17, 20), 24, (3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "tile does not divide": ((1, 32, 5, 29), 64, (3, 3), {"pads": [1, 1, 1, 1]}),
    "asymmetric padding": ((1, 16, 9, 11), 16, (3, 3), {"pads": [0, 1, 2, 3]}),
    "1x5, dilated": ((1, 8, 9, 19), 12, (1, 5), {"dilations": [1, 2]}),
    "dilated beyond the image": ((1, 16, 7, 8), 24, (3, 3), {"pads": [9, 9, 9, 9], "dilations": [9, 9]}),
    "dilated, rows beyond the image": ((1, 16, 5, 9), 24, (3, 3), {"pads": [6, 1, 6, 1], "dilations": [6, 1]}),
    "1x1": ((1, 24, 14, 14), 48, (1, 1), {}),
    "1x1, stride 2": ((1, 32, 15, 13), 40, (1, 1), {"strides": [2, 2]}),
    "1x1 on one pixel": ((1, 64, 1, 1), 10, (1, 1), {}),
    "odd channels, batch 2": ((2, 19, 6, 7), 21, (3, 3), {"pads": [1, 1, 1, 1]}),
    "groups": ((1, 32, 7, 9), 48, (3, 3), {"pads": [1, 1, 1, 1], "group": 4}),
    "groups of three": ((1, 12, 7, 9), 12, (3, 3), {"group": 4}),
}


@needs_dot_product
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_convolution(case: tuple[Any, ...]) -> None:
    shape, out, kernel, attributes = case
    network = QuantizedNetwork()
    result = network.conv(network.input(shape), shape[1], out, kernel, **attributes)
    integers = shape[1] // attributes.get("group", 1) % 4 == 0 or "group" not in attributes
    check(network, network.pair(result, OUT), *(["conv_int8"] if integers else []))


@needs_dot_product
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (7, 2)])
def test_depthwise(kernel: int, stride: int) -> None:
    network, pad = QuantizedNetwork(), kernel // 2
    result = network.conv(
        network.input((1, 40, 13, 18)), 40, 40, (kernel, kernel), group=40, pads=[pad] * 4, strides=[stride] * 2
    )
    check(network, network.pair(network.node("Relu", [result]), OUT), "depthwise_int8")


@needs_dot_product
@settings(max_examples=8, deadline=None)
@given(
    channels=st.integers(1, 36),
    out=st.integers(1, 40),
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    zero_points=st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
def test_any_convolution(channels, out, size, kernel, stride, pads, zero_points) -> None:  # type: ignore[no-untyped-def]
    network = QuantizedNetwork()
    source = network.input((1, channels, *size), Pair(0.03, zero_points[0]))
    result = network.conv(source, channels, out, kernel, strides=[stride, stride], pads=pads)
    check(network, network.pair(result, Pair(OUT.scale, zero_points[1])))


@needs_dot_product
@pytest.mark.parametrize("activation", ["Relu", "HardSwish", "Sigmoid", "LeakyRelu"])
def test_activations_stay_in_the_accumulator(activation: str) -> None:
    network = QuantizedNetwork()
    result = network.node(activation, [network.conv(network.input((1, 16, 6, 6)), 16, 16, (1, 1))])
    check(network, network.pair(result, OUT), "conv_int8")


@needs_dot_product
def test_silu_as_a_product_with_the_sigmoid() -> None:
    network = QuantizedNetwork()
    result = network.conv(network.input((1, 16, 24, 24)), 16, 32, (1, 1))
    gated = network.node("Mul", [network.node("Sigmoid", [result]), result])
    check(network, network.pair(gated, Pair(0.01, 28)), "conv_int8", step=0.01)


@needs_dot_product
def test_the_other_operand_of_a_residual_add_is_read_as_bytes() -> None:
    network = QuantizedNetwork()
    source = network.input((1, 16, 6, 6))
    total = network.node("Add", [network.conv(source, 16, 16, (3, 3), pads=[1, 1, 1, 1]), source])
    check(network, network.pair(network.node("Relu", [total]), OUT), "conv_int8", "pack_bytes")


@needs_dot_product
def test_signed_activations_are_shifted_to_unsigned_ones() -> None:
    network = QuantizedNetwork()
    result = network.conv(network.input((1, 16, 6, 6), Pair(0.02, -5, "int8")), 16, 16, (3, 3))
    check(network, network.pair(result, Pair(0.05, 3, "int8")), "conv_int8")


@needs_dot_product
def test_power_of_two_scales_round_ties_to_even() -> None:
    network = QuantizedNetwork()
    source = network.input((1, 8, 5, 5), Pair(2.0**-4, 0, "int8"))
    integers = np.eye(8, dtype=np.int8)[:, :, None, None]
    weights = network.node(
        "DequantizeLinear", [network.constant(integers), network.constant(np.full(8, 1.0, np.float32))], axis=0
    )
    halved = Pair(2.0**-3, 0, "int8")  # every odd input is a tie
    check(network, network.pair(network.node("Conv", [source, weights]), halved), "conv_int8", step=0.0)


@needs_dot_product
@pytest.mark.parametrize("shape", [(1, 37), (5, 64), (2, 7, 30)])
def test_dense(shape: tuple[int, ...]) -> None:
    network = QuantizedNetwork()
    product = network.node("MatMul", [network.input(shape), network.weights((shape[-1], 21), 1)])
    total = network.node("Add", [product, network.constant(np.linspace(-1, 1, 21, dtype=np.float32))])
    check(network, network.pair(network.node("Relu", [total]), OUT), "dense_int8")


@needs_dot_product
def test_bytes_are_moved_as_bytes() -> None:
    network = QuantizedNetwork()
    source = network.input((1, 16, 8, 8))
    same = Pair()
    pooled = network.pair(
        network.node("MaxPool", [source], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), same
    )
    sizes = network.constant(np.array([1, 1, 2, 2], np.float32))
    grown = network.node(
        "Resize",
        [pooled, "", sizes],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    joined = network.pair(network.node("Concat", [network.pair(grown, same), source], axis=1), same)
    check(network, network.pair(network.conv(joined, 32, 16, (1, 1)), OUT), "conv_int8", "pool", "upsample", "concat")


@pytest.mark.parametrize("board", ["rpi5", "graviton3"])
def test_arm_boards_take_the_same_layers(board: str) -> None:
    record = load_board(board)
    for shape, out, kernel, attributes in CONVOLUTIONS.values():
        network = QuantizedNetwork()
        result = network.conv(network.input(shape), shape[1], out, kernel, **attributes)
        _, report = lowered(network.model(network.pair(result, OUT)), cpu_model(record), llvm_target(resolve(record)))
        assert ("conv_int8" in report.counts()) == (attributes.get("group") != 4 or shape[1] == 32)


OTHER_X86 = {
    "pairs of bytes": load_board("x86-64-v3"),
    "AVX-512 without VNNI": load_board("x86-64-v4"),
    "AVX-VNNI": load_board("x86-64-v3").model_copy(update={"features": ("+avxvnni",)}),
}


@pytest.mark.parametrize("largest", [127, 64], ids=["weights of 8 bits", "of 7"])
@pytest.mark.parametrize("board", OTHER_X86.values(), ids=OTHER_X86.keys())
def test_x86_without_avx512_vnni_is_as_exact(board: Board, largest: int) -> None:
    if not set(needed_flags(board)) <= machine_flags():
        pytest.skip("this machine lacks some of its instructions")
    network = QuantizedNetwork(largest=largest)
    result = network.pair(network.conv(network.input((1, 19, 6, 7)), 19, 24, (3, 3), pads=[1, 1, 1, 1]), Pair())
    result = network.pair(network.conv(result, 24, 24, (3, 3), group=24, strides=[2, 2]), Pair())
    flat = network.pair(network.node("Reshape", [result, network.constant(np.array([1, -1]))]), Pair())
    result = network.node("MatMul", [flat, network.weights((144, 10), 1)])
    check(network, network.pair(result, OUT), "conv_int8", "depthwise_int8", "dense_int8", board=board)


def test_products_of_pairs_do_not_saturate() -> None:
    board = OTHER_X86["pairs of bytes"]
    if not set(needed_flags(board)) <= machine_flags():
        pytest.skip("this machine lacks some of its instructions")
    for weight in (64, 127):
        network = QuantizedNetwork()
        source = network.input((1, 8, 4, 4), Pair(2.0**-9, 0))  # inputs of one and more are 255
        integers = network.constant(np.full((8, 8, 1, 1), weight, np.int8))
        weights = network.node(
            "DequantizeLinear", [integers, network.constant(np.full(8, 2.0**-7, np.float32))], axis=0
        )
        pair = Pair(2.0**-6, 0)
        check(network, network.pair(network.node("Conv", [source, weights]), pair), "conv_int8", step=0.0, board=board)


def test_a_cpu_without_kernels_for_bytes_computes_in_floats() -> None:
    network = QuantizedNetwork()
    result = network.pair(network.conv(network.input((1, 16, 6, 6)), 16, 16, (3, 3)), OUT)
    model = CpuModel("sse", 4, 16, 1, 4, 32 << 10, 256 << 10, cores=2)
    _, report = lowered(network.model(result), model, llvm_target(resolve(HOST)))
    assert "conv_int8" not in report.counts()
    assert not report.fallbacks()


@needs_dot_product
def test_relu6_as_a_clip_with_operands_costs_nothing() -> None:
    network = QuantizedNetwork()
    bounds = [network.constant(np.array(bound, np.float32)) for bound in (0, 6)]
    clipped = network.node("Clip", [network.conv(network.input((1, 16, 6, 6)), 16, 16, (1, 1)), *bounds])
    check(network, network.pair(clipped, Pair(6 / 255, 0)), "conv_int8", step=6 / 255)


@needs_dot_product
@pytest.mark.parametrize(
    ("out", "kernel", "attributes"),
    [
        (24, 2, {"strides": [2, 2]}),
        (16, 3, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        (5, 4, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        (1, 2, {"strides": [2, 2]}),
    ],
)
def test_transposed_convolution(out: int, kernel: int, attributes: dict[str, Any]) -> None:
    network = QuantizedNetwork()
    weights = network.weights((20, out, kernel, kernel), 1)
    bias = network.constant(network.rng.normal(0, 0.3, out).astype(np.float32))
    result = network.node("ConvTranspose", [network.input((1, 20, 9, 12)), weights, bias], **attributes)
    check(network, network.pair(network.node("Relu", [result]), OUT), "conv_int8", "interleave")
