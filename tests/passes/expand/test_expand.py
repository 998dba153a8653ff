"""Operators that a target lacks, written as those it has."""

from __future__ import annotations

import string

import numpy as np
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.expand import ExpandOperators
from edgec.passes.raise_opset import RaiseOpset
from edgec.profile import Profile
from edgec.reference.session import Reference
from tests.passes.equal import applied
from tests.support.models import model, ops
from tests.support.uses.generate import use_of
from tests.support.uses.judge import difference, reference
from tests.support.uses.windows import EQUATIONS

# fmt: off
SIMPLE = frozenset((
    "Add", "And", "Cast", "CastLike", "Concat", "Conv", "Cos", "DequantizeLinear", "Div", "Equal", "Exp", "Expand",
    "Flatten", "Gather", "GatherElements", "Greater", "Identity", "If", "IsNaN", "Less", "Log", "MatMul", "Max",
    "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad", "Pow", "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceSum", "Reshape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose",
    "Trilu", "Unsqueeze", "Where",
))
# fmt: on
"""What many inference engines have."""


def test_a_quantized_convolution_becomes_a_convolution_between_pairs() -> None:
    body = """{ q = QuantizeLinear (x, xs, xz)  r = QLinearConv <pads = [1, 1, 1, 1]> (q, xs, xz, w, ws, wz, ys, yz, b)
      y = DequantizeLinear (r, ys, yz) }"""
    weights = {
        "xs": np.float32(0.02),
        "xz": np.uint8(128),
        "w": np.arange(-36, 36).reshape(4, 2, 3, 3).astype(np.int8),
        "ws": np.array([0.01, 0.02, 0.03, 0.04], np.float32),
        "wz": np.zeros(4, np.int8),
        "ys": np.float32(0.05),
        "yz": np.uint8(100),
        "b": np.array([5, -5, 50, 0], np.int32),
    }
    network = model(f"g (float[1, 2, 6, 6] x) => (float[1, 4, 6, 6] y) {body}", weights, opset=18)
    # A tie is rounded either way.
    after, report = applied(ExpandOperators(Profile(operators=SIMPLE)), network, tolerance=0.01)
    assert ops(after) == ["QuantizeLinear", *["DequantizeLinear"] * 3, "Conv", "QuantizeLinear", "DequantizeLinear"]
    assert report.changes == ("QLinearConv expanded into simpler operators",)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_becomes_products_and_sums(equation: str) -> None:
    sizes = {letter: 2 + index % 3 for index, letter in enumerate(string.ascii_letters)}
    shapes = [
        ", ".join(str(sizes[letter]) for letter in term.replace("...", "zy"))
        for term in equation.replace(" ", "").partition("->")[0].split(",")
    ]
    inputs = ", ".join(f"float[{shape}] x{index}" for index, shape in enumerate(shapes))
    read = ", ".join(f"x{index}" for index in range(len(shapes)))
    network = model(f'g ({inputs}) => (float y) {{ y = Einsum <equation = "{equation}"> ({read}) }}', opset=18)
    after, report = applied(ExpandOperators(Profile(operators=SIMPLE)), network, tolerance=1e-5)
    assert report.modified and "Einsum" not in ops(after)


@pytest.mark.parametrize(
    "operator",
    [
        "Attention", "CenterCropPad", "Celu", "GroupNormalization", "HardSwish", "LayerNormalization", "Mish",
        "DFT", "MeanVarianceNormalization", "NegativeLogLikelihoodLoss", "RotaryEmbedding", "STFT",
        "SoftmaxCrossEntropyLoss",
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_definitions_of_onnx_are_used(operator: str, seed: int) -> None:
    use = use_of(operator, seed)
    expected = reference(use)
    if expected is None:
        pytest.skip("ONNX Runtime does not run it")
    network = RaiseOpset()(fix_shapes(load(use.model(expected)).model, {})).model
    after = ExpandOperators(Profile(operators=SIMPLE))(network).model
    assert operator not in ops(after)
    assert difference(use, expected, list(Reference(after).run(use.feeds).values())) == ""


def test_an_operator_that_the_target_has_stays() -> None:
    network = model("g (float[2, 6] x) => (float[2, 6] y) { y = HardSwish (x) }")
    _, report = applied(ExpandOperators(Profile(operators=SIMPLE | {"HardSwish"})), network)
    assert not report.modified


def test_a_definition_by_operators_that_the_target_lacks_is_no_use() -> None:
    network = model("g (float[2, 6] x) => (float[2, 6] y) { y = HardSwish (x) }")
    after, report = applied(ExpandOperators(Profile(operators=SIMPLE - {"Mul"})), network)
    assert not report.modified and ops(after) == ["HardSwish"]
