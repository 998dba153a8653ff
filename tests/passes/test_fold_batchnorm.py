"""BatchNormalization after, before and without a linear layer; and everything that keeps it from being folded."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.passes.base import PassReport
from edgec.passes.fold_batchnorm import FoldBatchNorm
from edgec.passes.raise_opset import RaiseOpset
from tests.passes.equal import ROUNDING, applied
from tests.support.models import model, ops, random_weights

BN = "BatchNormalization <epsilon = 1e-3> "


def statistics(channels: int, seed: int = 1) -> dict[str, np.ndarray]:
    arrays = random_weights(seed, scale=(channels,), bias=(channels,), mean=(channels,), var=(channels,))
    return arrays | {"var": np.abs(arrays["var"]) + np.float32(0.5)}


def folded(before: ir.Model, *, tolerance: float = ROUNDING) -> tuple[ir.Model, PassReport]:
    raised = RaiseOpset()(before.clone()).model
    return applied(FoldBatchNorm(), raised, tolerance=tolerance)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_after_a_convolution(op: str, group: int, bias: bool) -> None:
    filters = (8, 4 // group) if op == "Conv" else (4, 8 // group)
    weights = random_weights(w=(*filters, 3, 3), b=(8,)) | statistics(8)
    size = 7 if op == "Conv" else 11
    before = model(
        f"""g (float[1, 4, 9, 9] x) => (float[1, 8, {size}, {size}] y) {{
            c = {op} <group = {group}> (x, w{", b" if bias else ""})
            y = {BN} (c, scale, bias, mean, var) }}""",
        {name: array for name, array in weights.items() if bias or name != "b"},
    )
    after, report = folded(before)
    assert ops(after) == [op]
    assert report.changes == ("c: batch norm folded",)


@pytest.mark.parametrize("opset", [7, 8, 9, 13, 14, 15, 17, 18, 21])
def test_every_version_of_the_operator(opset: int) -> None:
    before = model(
        f"g (float[1, 2, 4, 4] x) => (float[1, 3, 4, 4] y) {{ c = Conv (x, w)  y = {BN} (c, scale, bias, mean, var) }}",
        random_weights(w=(3, 2, 1, 1)) | statistics(3),
        opset=opset,
    )
    assert ops(folded(before)[0]) == ["Conv"]


@pytest.mark.parametrize("c", [None, (), (1,), (5,), (1, 5), (3, 1), (3, 5)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_after_gemm_with_any_bias(c: tuple[int, ...] | None, transposed: int) -> None:
    weights = random_weights(w=(5, 4) if transposed else (4, 5)) | statistics(5)
    if c is not None:
        weights |= random_weights(3, c=c)
    before = model(
        f"""g (float[3, 4] x) => (float[3, 5] y) {{
            p = Gemm <alpha = 0.5, beta = 2.0, transB = {transposed}> (x, w{"" if c is None else ", c"})
            y = {BN} (p, scale, bias, mean, var) }}""",
        weights,
    )
    assert ops(folded(before)[0]) == ["Gemm"]


def test_after_matmul_the_shift_stays_as_its_bias() -> None:
    before = model(
        f"g (float[3, 4] x) => (float[3, 5] y) {{ p = MatMul (x, w)  y = {BN} (p, scale, bias, mean, var) }}",
        random_weights(w=(4, 5)) | statistics(5),
    )
    assert ops(folded(before)[0]) == ["MatMul", "Add"]


def test_weights_shared_by_two_convolutions_are_copied() -> None:
    before = model(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y, float[1, 4, 5, 5] z) {{
            c = Conv (x, w, b)  y = {BN} (c, scale, bias, mean, var)  z = Conv (y, w, b) }}""",
        random_weights(w=(4, 4, 1, 1), b=(4,)) | statistics(4),
    )
    after, _ = folded(before)
    assert ops(after) == ["Conv", "Conv"]
    first, second = after.graph
    assert first.inputs[1] is not second.inputs[1]


def test_two_norms_in_a_row_are_both_folded() -> None:
    before = model(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{
            c = Conv (x, w)  n = {BN} (c, scale, bias, mean, var)  y = {BN} (n, mean, scale, bias, var) }}""",
        random_weights(w=(4, 4, 1, 1)) | statistics(4),
    )
    assert ops(folded(before, tolerance=1e-5)[0]) == ["Conv"]


def test_before_convolutions_without_padding() -> None:
    before = model(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 6, 3, 3] y, float[1, 2, 4, 4] z) {{
            n = {BN} (x, scale, bias, mean, var)
            y = Conv <group = 2> (n, w)  z = Conv (n, v, b) }}""",
        random_weights(w=(6, 2, 3, 3), v=(2, 4, 2, 2), b=(2,)) | statistics(4),
    )
    after, report = folded(before)
    assert ops(after) == ["Conv", "Conv"]
    assert "batch norm before it folded" in report.changes[0]


def test_before_a_padded_convolution_if_the_shift_is_zero() -> None:
    weights = statistics(4)
    weights["bias"] = np.zeros(4, np.float32)
    weights["mean"] = np.zeros(4, np.float32)
    before = model(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{
            n = {BN} (x, scale, bias, mean, var)  y = Conv <pads = [1, 1, 1, 1]> (n, w) }}""",
        random_weights(w=(4, 4, 3, 3)) | weights,
    )
    assert ops(folded(before)[0]) == ["Conv"]


# What a batch norm cannot be folded into leaves a Mul and an Add, and the reason.
WRITTEN_OUT = {
    "no linear layer is before it": (
        "y = BN (x, scale, bias, mean, var)",
        ["Mul", "Add"],
    ),
    "the output of c before it has other readers": (
        "c = Conv (x, w)  n = BN (c, scale, bias, mean, var)  y = Add (n, c)",
        ["Conv", "Mul", "Add", "Add"],
    ),
    "c before it cannot take scale and shift: its weights are not constant": (
        "m = ReduceMean <axes = [2, 3]> (x)  r = Reshape (m, shape)  c = Conv <group = 4> (x, r)"
        "  y = BN (c, scale, bias, mean, var)",
        ["ReduceMean", "Reshape", "Conv", "Mul", "Add"],
    ),
    "c before it cannot take scale and shift: its bias is not constant": (
        "s = ReduceMean <axes = [0, 2, 3], keepdims = 0> (x)  c = Conv (x, w, s)  y = BN (c, scale, bias, mean, var)",
        ["ReduceMean", "Conv", "Mul", "Add"],
    ),
    "the Conv after it pads, and its padding would have to be shifted too": (
        "n = BN (x, scale, bias, mean, var)  y = Conv <pads = [0, 0, 1, 1], kernel_shape = [2, 2]> (n, k)",
        ["Mul", "Add", "Conv"],
    ),
    "r (Relu) after it is not a Conv": (
        "n = BN (x, scale, bias, mean, var)  r = Relu (n)  z = Conv (n, w)  y = Add (r, z)",
        ["Mul", "Add", "Relu", "Conv", "Add"],
    ),
    "its output is an output of the model": (
        "y = BN (x, scale, bias, mean, var)",
        ["Mul", "Add"],
    ),
}


@pytest.mark.parametrize("reason", WRITTEN_OUT)
def test_written_out_with_the_reason(reason: str) -> None:
    body, expected = WRITTEN_OUT[reason]
    body = body.replace("BN", BN)
    weights = random_weights(w=(4, 4, 1, 1), k=(4, 4, 2, 2)) | statistics(4) | {"shape": np.array([4, 1, 1, 1])}
    before = model(
        f"g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{ {body} }}",
        {name: array for name, array in weights.items() if name in body},
    )
    after, report = folded(before)
    assert ops(after) == expected
    assert reason in report.refusals[0][1]


def test_along_another_axis_than_the_filters_of_a_matmul() -> None:
    before = model(
        f"g (float[2, 5, 4] x) => (float[2, 5, 3] y) {{ p = MatMul (x, w)  y = {BN} (p, scale, bias, mean, var) }}",
        random_weights(w=(4, 3)) | statistics(5),
    )
    after, report = folded(before)
    assert ops(after) == ["MatMul", "Mul", "Add"]
    assert "lie along another axis" in report.refusals[0][1]


def test_training_mode_is_left() -> None:
    before = model(
        """g (float[2, 4, 5, 5] x) => (float[2, 4, 5, 5] y) {
            c = Conv (x, w)
            y, m, v = BatchNormalization <training_mode = 1> (c, scale, bias, mean, var) }""",
        random_weights(w=(4, 4, 1, 1)) | statistics(4),
    )
    after, report = folded(before)
    assert ops(after) == ["Conv", "BatchNormalization"]
    assert not report.modified
    assert "training mode" in report.refusals[0][1]


def test_computed_statistics_are_left() -> None:
    weights = random_weights(w=(4, 4, 1, 1)) | statistics(4)
    del weights["mean"]
    before = model(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{
            mean = ReduceMean <axes = [0, 2, 3], keepdims = 0> (x)
            c = Conv (x, w)  y = {BN} (c, scale, bias, mean, var) }}""",
        weights,
    )
    after, report = folded(before)
    assert "BatchNormalization" in ops(after)
    assert report.refusals == (("y", "left as it is: its mean is not constant"),)


def test_negative_variance_is_left() -> None:
    weights = random_weights(w=(4, 4, 1, 1)) | statistics(4) | {"var": np.array([1, 1, -1, 1], np.float32)}
    before = model(
        f"g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{ c = Conv (x, w)  y = {BN} (c, scale, bias, mean, var) }}",
        weights,
    )
    after, report = folded(before)
    assert "BatchNormalization" in ops(after)
    assert "not positive" in report.refusals[0][1]


def test_weights_that_would_overflow_are_left() -> None:
    weights = {name: array.astype(np.float16) for name, array in statistics(4).items()}
    weights |= {"w": np.full((4, 4, 1, 1), 6e4, np.float16), "scale": np.full(4, 100, np.float16)}
    before = model(
        f"""g (float16[1, 4, 5, 5] x) => (float16[1, 4, 5, 5] y) {{
            s = Mul (x, tiny)  c = Conv (s, w)  y = {BN} (c, scale, bias, mean, var) }}""",
        weights | {"tiny": np.array(1e-4, np.float16)},
    )
    after, report = folded(before, tolerance=1e-2)
    assert ops(after) == ["Mul", "Conv", "Mul", "Add"]
    assert "overflow" in report.refusals[0][1]


def test_half_precision_stays_and_is_folded_in_double() -> None:
    weights = {
        name: array.astype(np.float16) for name, array in (random_weights(w=(4, 4, 1, 1)) | statistics(4)).items()
    }
    before = model(
        f"""g (float16[1, 4, 5, 5] x) => (float16[1, 4, 5, 5] y) {{
            c = Conv (x, w)  y = {BN} (c, scale, bias, mean, var) }}""",
        weights,
    )
    after, _ = folded(before, tolerance=2e-3)
    (conv,) = after.graph
    got = conv.inputs[1].const_value.numpy()
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    wanted = wide["w"] * (wide["scale"] / np.sqrt(wide["var"] + np.float32(1e-3))).reshape(-1, 1, 1, 1)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, wanted.astype(np.float16))


def test_nothing_to_do_is_told() -> None:
    before = model("g (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }")
    _, report = folded(before)
    assert (report.modified, report.changes, report.refusals) == (False, (), ())
