"""Operators of vision networks, one by one: import, lower, run, and compare with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from edgec.errors import UnsupportedModel
from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tvm.from_onnx import to_relax
from tests.support.lowered import run_network
from tests.support.models import model

TOLERANCE = 1e-5


def picture(body: str, result: str = "float[1, 4, a, b]", weights: str = "") -> str:
    """A graph whose input `x` is float[1, 4, 9, 9] and whose only output is `y`."""
    return f"g (float[1, 4, 9, 9] x{weights}) => ({result} y) {body}"


def resize(attributes: str, scales: str) -> str:
    return picture(f"<float[4] s = {{1, 1, {scales}}}> {{ y = Resize <{attributes}> (x, , s) }}")


CASES = {
    "resize nearest": resize(
        'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"', "2, 3"
    ),
    "resize linear": resize('mode = "linear"', "2, 2"),
    "resize align corners": resize('mode = "linear", coordinate_transformation_mode = "align_corners"', "2, 2"),
    "resize cubic": resize('mode = "cubic"', "2, 2"),
    # These sizes are not whole: ONNX keeps the factor, TVM would take the quotient of the sizes.
    "resize linear to a broken size": resize('mode = "linear"', "0.5, 0.6"),
    "resize nearest to a broken size": resize(
        'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"', "0.5, 0.6"
    ),
    "resize cubic to a broken size": resize('mode = "cubic", cubic_coeff_a = -0.5', "1.3, 0.7"),
    "resize antialiased": resize('mode = "linear", antialias = 1', "0.5, 0.5"),
    "resize two axes": picture('<float[2] s = {2, 2}> { y = Resize <mode = "linear", axes = [2, 3]> (x, , s) }'),
    "resize to sizes": picture('<int64[4] s = {1, 4, 13, 7}> { y = Resize <mode = "linear"> (x, , , s) }'),
    "pad reflect": picture('<int64[8] p = {0, 0, 1, 2, 0, 0, 2, 1}> { y = Pad <mode = "reflect"> (x, p) }'),
    "pad edge": picture('<int64[8] p = {0, 0, 1, 2, 0, 0, 2, 1}> { y = Pad <mode = "edge"> (x, p) }'),
    # Rows that end with a part of a vector.
    **{
        f"pad {mode} and reshape": picture(
            "<int64[8] p = {0, 0, 7, 8, 0, 0, 5, 8}, int64[3] s = {4, 21, 25}>"
            f' {{ q = Pad <mode = "{mode}"> (x, p) y = Reshape (q, s) }}',
            "float[4, 21, 25]",
        )
        for mode in ("reflect", "edge", "constant")
    },
    "pad reflect of one row and reshape": """g (float[1, 1, 137] x) => (float[1, 1, 1, 163] y)
        <int64[6] p = {0, 0, 13, 0, 0, 13}, int64[4] s = {1, 1, 1, 163}>
        { q = Pad <mode = "reflect"> (x, p) y = Reshape (q, s) }""",
    "pad with a value": picture("<int64[8] p = {0, 0, 1, 2, 0, 0, 2, 1}, float v = {3}> { y = Pad (x, p, v) }"),
    "max pool with ceil": picture("{ y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x) }"),
    "max pool dilated": picture("{ y = MaxPool <kernel_shape = [3, 3], dilations = [2, 2]> (x) }"),
    "max pool, uneven padding": picture(
        "{ y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (x) }"
    ),
    "average pool with padding": picture(
        "{ y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x) }"
    ),
    "average pool that counts padding, ceil": picture(
        "{ y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 1, 1],"
        " ceil_mode = 1, count_include_pad = 1> (x) }"
    ),
    "grouped convolution": picture("{ y = Conv <group = 2> (x, w) }", weights=", float[6, 2, 3, 3] w"),
    "depthwise convolution, two filters a channel": picture(
        "{ y = Conv <group = 4, pads = [1, 1, 1, 1]> (x, w) }", weights=", float[8, 1, 3, 3] w"
    ),
    "dilated convolution, uneven padding": picture(
        "{ y = Conv <dilations = [2, 2], pads = [1, 0, 2, 3], strides = [2, 1]> (x, w, c) }",
        weights=", float[6, 4, 3, 3] w, float[6] c",
    ),
    "convolution SAME_LOWER": picture('{ y = Conv <auto_pad = "SAME_LOWER"> (x, w) }', weights=", float[6, 4, 2, 2] w"),
    "convolution of a sequence": "g (float[1, 4, 9] x, float[6, 4, 3] w) => (float[1, 6, 7] y) { y = Conv (x, w) }",
    "convolution of a batch": (
        "g (float[3, 4, 9, 9] x, float[6, 4, 3, 3] w) => (float[3, 6, 7, 7] y) { y = Conv (x, w) }"
    ),
    "transposed convolution": picture(
        "{ y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]> (x, w) }",
        weights=", float[4, 5, 3, 3] w",
    ),
    "grouped transposed convolution": picture(
        "{ y = ConvTranspose <strides = [2, 2], group = 2> (x, w, c) }", weights=", float[4, 3, 2, 2] w, float[6] c"
    ),
    "transposed convolution in runs of 8 channels": picture(
        "{ y = ConvTranspose <strides = [2, 2]> (x, w) }", weights=", float[4, 24, 2, 2] w"
    ),
    "transposed convolution in runs of 2 channels": picture(
        "{ y = ConvTranspose <strides = [2, 3]> (x, w) }", weights=", float[4, 18, 3, 3] w"
    ),
    "transposed convolution to a shape": picture(
        "{ y = ConvTranspose <strides = [2, 2], output_shape = [18, 18]> (x, w) }", weights=", float[4, 3, 3, 3] w"
    ),
    "instance normalization": picture("{ y = InstanceNormalization (x, s, c) }", weights=", float[4] s, float[4] c"),
    "layer normalization": (
        "g (float[2, 5, 8] x, float[8] s, float[8] c) => (float[2, 5, 8] y) { y = LayerNormalization (x, s, c) }"
    ),
    "local response normalization": picture("{ y = LRN <size = 3, alpha = 0.1, beta = 0.6, bias = 2.0> (x) }"),
    "position of the largest, keepdims of neither 0 nor 1": (
        "g (float[2, 5, 8] x) => (int64[2, 8] y) { y = ArgMax <axis = 1, keepdims = 2> (x) }"
    ),
    "mean over two axes": picture("<int64[2] t = {2, -1}> { y = ReduceMean <keepdims = 0> (x, t) }", "float[1, 4]"),
    "norm over an axis": picture("<int64[1] t = {1}> { y = ReduceL2 (x, t) }", "float[1, 1, 9, 9]"),
    "arg max": picture("{ y = ArgMax <axis = 1> (x) }", "int64[1, 1, 9, 9]"),
    "softmax": picture("{ y = Softmax <axis = 1> (x) }"),
    "hard swish": picture("{ y = HardSwish (x) }"),
    # Each repeats its operand: in one expression they would be 10^8 terms.
    "activations in a row": picture(
        "{ a = MaxPool <kernel_shape = [1, 1]> (x)  b = HardSwish (a)  c = Mish (b)  d = Elu (c)  e = Erf (d)"
        " f = Mish (e)  y = HardSwish (f) }"
    ),
    "hyperbolic": picture("{ a = Sinh (x)  b = Cosh (a)  y = Atan (b) }"),
    "integers beyond 32 bits": picture(
        "<int64[1] c = {4000000000}> { i = Cast <to = 7> (x)  y = Mul (i, c) }", "int64[1, 4, 9, 9]"
    ),
    "mish": picture("{ y = Mish (x) }"),
    "elu": picture("{ n = Neg (x)  y = Elu <alpha = 1.5> (n) }"),
    "erf": picture("{ y = Erf (x) }"),
    "prelu": picture("{ y = PRelu (x, s) }", weights=", float[4, 1, 1] s"),
    "clip from below only": picture("<float m = {-0.2}> { y = Clip (x, m) }"),
    "integer exponent": picture("<int64 e = {3}> { y = Pow (x, e) }"),
    "slice backwards": picture(
        "<int64[2] s = {-1, 1}, int64[2] e = {-10, 8}, int64[2] t = {2, 3}, int64[2] d = {-2, 3}>"
        " { y = Slice (x, s, e, t, d) }"
    ),
    "split by count": (
        "g (float[1, 7] x) => (float[1, 3] p, float[1, 3] q, float[1, 1] r)"
        " { p, q, r = Split <axis = 1, num_outputs = 3> (x) }"
    ),
    "depth to space": picture('{ y = DepthToSpace <blocksize = 2, mode = "CRD"> (x) }'),
    "top 5": "g (float[2, 30] x) => (float[2, 5] y, int64[2, 5] i) <int64[1] k = {5}> { y, i = TopK (x, k) }",
    "batched product": ("g (float[2, 1, 3, 4] x, float[5, 4, 6] w) => (float[2, 5, 3, 6] y) { y = MatMul (x, w) }"),
    "gemm": (
        "g (float[3, 4] x, float[5, 3] w, float[5] c) => (float[4, 5] y)"
        " { y = Gemm <alpha = 0.5, beta = 2.0, transA = 1, transB = 1> (x, w, c) }"
    ),
    "grid sample": "g (float[1, 2, 5, 5] x, float[1, 4, 4, 2] z) => (float[1, 2, 4, 4] y) { y = GridSample (x, z) }",
    "transposed convolution to more than it reaches": picture(
        "{ y = ConvTranspose <strides = [3, 2], output_shape = [28, 20]> (x, w) }", weights=", float[4, 3, 3, 3] w"
    ),
    "pixels to numbers": "g (uint8[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) { y = Cast <to = 1> (x) }",
    "where": picture("<float z = {0.5}> { t = Greater (x, z)  n = Neg (x)  y = Where (t, x, n) }"),
}


@pytest.mark.parametrize("case", CASES)
def test_operator(case: str) -> None:
    original = model(CASES[case], opset=18)
    feeds = random_inputs(inputs_of(original), seed=0)
    results, _ = run_network(original, feeds)
    comparison = compare(Reference(original).run(feeds), results)
    assert comparison.within(TOLERANCE), str(comparison)
    assert all(np.isfinite(array).all() for array in results.values())


@pytest.mark.parametrize("mode", ["wrap", "reflect"])
def test_pad_of_two_axes_by_what_repeats(mode: str) -> None:
    pads = "<int64[6] p = {0, 1, 2, 0, 1, 3}>"  # five columns become ten: TVM's floormod loses an offset then
    network = model(
        f'g (float[1, 4, 5] x) => (float[a, b, c] y) {pads} {{ y = Pad <mode = "{mode}"> (x, p) }}', opset=19
    )
    x = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    results, _ = run_network(network, {"x": x})
    np.testing.assert_array_equal(results["y"], np.pad(x, ((0, 0), (1, 1), (2, 3)), mode=mode))  # type: ignore[call-overload]


def test_a_type_that_is_not_computed_with_is_refused() -> None:
    network = model(picture("{ h = Cast <to = 17> (x)  y = Cast <to = 1> (h) }", "float[1, 4, 9, 9]"), opset=19)
    with pytest.raises(UnsupportedModel, match="Cast on float8e4m3fn"):
        to_relax(network)
