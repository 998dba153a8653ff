"""Nodes brought down to the newest opset that a TensorRT reads: legal afterwards, and equal by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import limits_for
from tests.support.legal_nodes import SEEDS, SHAPES, SIZES, dims, examples, legal, normal
from tests.support.models import model, ops

REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare",
)  # fmt: skip


@settings(examples, max_examples=40)
@given(op_type=st.sampled_from(REDUCTIONS), shape=SHAPES, data=st.data(), keep=st.booleans(), seed=SEEDS)
def test_reduction_axes(op_type: str, shape: tuple[int, ...], data: st.DataObject, keep: bool, seed: int) -> None:
    """Without the rewrite TensorRT 8.2 ignores the input and reduces all axes."""
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    result = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    y = f"float[{dims(result)}] y" if result else "float y"
    network = model(
        f"net (float[{dims(shape)}] x) => ({y}) <int64[{len(axes)}] axes = {{{dims(tuple(axes))}}}>"
        f"{{ y = {op_type} <keepdims = {int(keep)}> (x, axes) }}",
        opset=18,
    )
    (node,) = legal(network, {"x": normal(shape, seed)}).graph
    if op_type != "ReduceSum":
        assert tuple(node.attributes["axes"].as_ints()) == tuple(axes)
        assert len(node.inputs) == 1


@settings(examples, max_examples=40)
@given(op_type=st.sampled_from((*REDUCTIONS, "ReduceLogSum")), shape=SHAPES, noop=st.booleans(), seed=SEEDS)
def test_reduction_over_no_axes(op_type: str, shape: tuple[int, ...], noop: bool, seed: int) -> None:
    """None or all, says an attribute that TensorRT does not read; none still leaves |x| of a norm, log x of a sum."""
    result = shape if noop else (1,) * len(shape)
    network = model(
        f"net (float[{dims(shape)}] x) => (float[{dims(result)}] y) "
        f"{{ y = {op_type} <noop_with_empty_axes = {int(noop)}> (x) }}",
        opset=18,
    )
    x = normal(shape, seed)
    copy = legal(network, {"x": np.abs(x) + 0.1 if op_type == "ReduceLogSum" else x})
    assert (op_type in ops(copy)) != noop


def test_reduction_over_computed_axes_is_refused() -> None:
    network = model("net (float[2, 3] x, int64[1] a) => (float[2, 1] y) { y = ReduceMax (x, a) }", opset=18)
    legalize(network, limits_for("8.2.1"))
    assert refusals(network, limits_for("8.2.1"))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@examples
@given(shape=st.lists(st.integers(3, 5), min_size=2, max_size=4).map(tuple), data=st.data(), seed=SEEDS)
def test_pad_axes(mode: str, shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=2, unique=True))
    pads = data.draw(st.lists(st.integers(0, 2), min_size=2 * len(axes), max_size=2 * len(axes)))
    result = list(shape)
    for index, axis in enumerate(axes):
        result[axis] += pads[index] + pads[index + len(axes)]
    negative = [axis - len(shape) for axis in axes]
    network = model(
        f"net (float[{dims(shape)}] x) => (float[{dims(tuple(result))}] y) "
        f"<int64[{len(pads)}] p = {{{dims(tuple(pads))}}}, float v = {{1.5}}, "
        f"int64[{len(axes)}] a = {{{dims(tuple(negative))}}}>"
        f'{{ y = Pad <mode = "{mode}"> (x, p, v, a) }}',
        opset=18,
    )
    legal(network, {"x": normal(shape, seed)})


@examples
@given(size=st.integers(1, 12), parts=st.integers(1, 4), seed=SEEDS)
def test_split_into_a_number_of_parts(size: int, parts: int, seed: int) -> None:
    each = -(-size // parts)
    if each * (parts - 1) >= size:  # the last part would be empty
        return
    sizes = [each] * (parts - 1) + [size - each * (parts - 1)]
    outputs = ", ".join(f"float[{n}] y{i}" for i, n in enumerate(sizes))
    names = ", ".join(f"y{i}" for i in range(parts))
    network = model(f"net (float[{size}] x) => ({outputs}) {{ {names} = Split <num_outputs = {parts}> (x) }}", opset=18)
    legal(network, {"x": normal((size,), seed)})


RESHAPE = "net (float[2, 3] x) => (float[3, 2] y) <int64[2] s = {3, 2}> { y = Reshape %s (x, s) }"


@examples
@given(shape=SHAPES, flag=st.sampled_from(["", "<allowzero = 0>", "<allowzero = 1>"]), data=st.data(), seed=SEEDS)
def test_reshape(shape: tuple[int, ...], flag: str, data: st.DataObject, seed: int) -> None:
    """To an order of the same sizes, one of them left open."""
    to = data.draw(st.permutations(shape))
    given = [-1 if index == 0 else size for index, size in enumerate(to)]
    network = model(
        f"net (float[{dims(shape)}] x) => (float[{dims(tuple(to))}] y) {{ y = Reshape {flag} (x, s) }}",
        {"s": np.array(given)},
        opset=14,
    )
    for version in ("8.2.1", "8.5.2"):
        legal(network, {"x": normal(shape, seed)}, version=version)


@pytest.mark.parametrize("flag", ["", "<allowzero = 0>", "<allowzero = 1>"])
def test_reshape_without_allowzero_on_8_2(flag: str) -> None:
    (node,) = legal(model(RESHAPE % flag, opset=14)).graph
    assert "allowzero" not in node.attributes


@pytest.mark.parametrize("flag", ["", "<allowzero = 1>"])
def test_reshape_says_allowzero_on_8_5(flag: str) -> None:
    (node,) = legal(model(RESHAPE % flag, opset=14), version="8.5.2").graph
    assert node.attributes["allowzero"].as_int() == 0


def test_reshape_of_older_opsets_stays_without_allowzero() -> None:
    (node,) = legal(model(RESHAPE % "", opset=13), version="8.5.2").graph
    assert "allowzero" not in node.attributes


RESIZE_MODES = (
    'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"',
    'mode = "linear", coordinate_transformation_mode = "half_pixel"',
    'mode = "linear", coordinate_transformation_mode = "align_corners"',
)


@pytest.mark.parametrize("modes", RESIZE_MODES)
@examples
@given(h=st.integers(2, 5), w=st.integers(2, 5), up=st.integers(1, 3), seed=SEEDS)
def test_resize_by_axes(modes: str, h: int, w: int, up: int, seed: int) -> None:
    network = model(
        f"net (float[1, 2, {h}, {w}] x) => (float[1, 2, {h * up}, {w * up}] y) <float[2] s = {{{up}.0, {up}.0}}>"
        f'{{ y = Resize <axes = [2, 3], {modes}, keep_aspect_ratio_policy = "stretch", antialias = 0> (x, , s) }}',
        opset=18,
    )
    (node,) = legal(network, {"x": normal((1, 2, h, w), seed)}).graph
    assert set(node.attributes) <= {"mode", "coordinate_transformation_mode", "nearest_mode"}


@examples
@given(h=st.integers(2, 5), w=st.integers(2, 5), to=st.integers(2, 9), seed=SEEDS)
def test_resize_to_sizes(h: int, w: int, to: int, seed: int) -> None:
    network = model(
        f"net (float[1, 2, {h}, {w}] x) => (float[1, 2, {to}, {w}] y) <int64[1] s = {{{to}}}>"
        f'{{ y = Resize <axes = [2], mode = "linear"> (x, , , s) }}',
        opset=18,
    )
    legal(network, {"x": normal((1, 2, h, w), seed)})


def test_resize_to_computed_sizes_gets_a_constant() -> None:
    network = model(
        "net (float[1, 2, 3, 4] x, float[1, 2, 6, 8] like) => (float[1, 2, 6, 8] y)"
        '{ s = Shape (like)  y = Resize <mode = "linear"> (x, , , s) }'
    )
    resized = next(node for node in legal(network).graph if node.op_type == "Resize")
    assert resized.inputs[3] is not None
    assert resized.inputs[3].is_initializer()


INERT = {
    "BatchNormalization <training_mode = 0> (x, c, c, c, c)": 14,
    "MaxPool <kernel_shape = [1, 1], dilations = [1, 1]> (x)": 12,
    "Cast <to = 10, saturate = 1> (x)": 19,
    "ArgMax <select_last_index = 0> (x)": 13,
    "AveragePool <kernel_shape = [1, 1], dilations = [1, 1]> (x)": 19,
}
"""Calls with an attribute that says nothing: opset that has it."""


@pytest.mark.parametrize("call", INERT)
@examples
@given(h=SIZES, w=SIZES, seed=SEEDS)
def test_inert_attributes_go(call: str, h: int, w: int, seed: int) -> None:
    first, kind = (1, "int64") if "ArgMax" in call else (2, "float16" if "Cast" in call else "float")
    network = model(
        f"net (float[2, 2, {h}, {w}] x) => ({kind}[{first}, 2, {h}, {w}] y) <float[2] c = {{1, 2}}> {{ y = {call} }}",
        opset=INERT[call],
    )
    (node,) = legal(network, {"x": normal((2, 2, h, w), seed)}).graph
    assert not {"training_mode", "saturate"} & set(node.attributes)


def test_training_mode_is_refused() -> None:
    network = model(
        "net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) <float[2] s = {1, 2}, float[2] b = {0, 1}, "
        "float[2] m = {0, 1}, float[2] v = {1, 2}> { y, n, w = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"
    )
    legalize(network, limits_for("8.2.1"))
    assert "training_mode" in refusals(network, limits_for("8.2.1"))[0].reason


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@examples
@given(h=SIZES, w=SIZES, seed=SEEDS)
def test_grid_sample_modes_have_older_names(mode: str, h: int, w: int, seed: int) -> None:
    network = model(
        f"net (float[1, 2, {h}, {w}] x, float[1, 3, 3, 2] g) => (float[1, 2, 3, 3] y) "
        f'{{ y = GridSample <mode = "{mode}"> (x, g) }}',
        opset=20,
    )
    copy = legal(network, {"x": normal((1, 2, h, w), seed), "g": normal((1, 3, 3, 2), seed, 0.5)}, version="8.5.2")
    assert copy.graph.node(0).attributes["mode"].as_string() == {"linear": "bilinear", "cubic": "bicubic"}.get(
        mode, mode
    )
