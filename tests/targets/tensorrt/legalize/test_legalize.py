"""Each rewrite for an older TensorRT: legal afterwards, and equal by ONNX Runtime on nodes that hypothesis makes up."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.model.graph import constant
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import limits_for
from tests.support.legal_nodes import SEEDS, SHAPES, SIZES, dims, examples, legal, normal
from tests.support.models import model, ops, proto

# Activations


@pytest.mark.parametrize(
    ("call", "opset"),
    [
        ("HardSwish (x)", 14),
        ("Mish (x)", 18),
        ("Gelu (x)", 20),
        ('Gelu <approximate = "tanh"> (x)', 20),
        ("Swish (x)", 24),
        ("Swish <alpha = 1.5> (x)", 24),
        ("Shrink <lambd = 1.5, bias = 0.25> (x)", 13),
    ],
)
@examples
@given(shape=SHAPES, seed=SEEDS)
def test_activation(call: str, opset: int, shape: tuple[int, ...], seed: int) -> None:
    network = model(f"net (float[{dims(shape)}] x) => (float[{dims(shape)}] y) {{ y = {call} }}", opset=opset)
    if call.startswith("Swish"):  # no kernel in ONNX Runtime: compare with the formula
        x, alpha = normal(shape, seed), 1.5 if "alpha" in call else 1.0
        copy = network.clone()
        legalize(copy, limits_for("8.2.1"))
        expected = x / (1 + np.exp(-alpha * x))
        assert compare({"y": expected}, Reference(copy).run({"x": x})).within(1e-5)
    else:
        legal(network, {"x": normal(shape, seed)})


def test_activation_that_the_version_has_stays() -> None:
    network = model("net (float[2] x) => (float[2] y) { y = HardSwish (x) }")
    assert ops(legal(network, version="8.5.2")) == ["HardSwish"]
    assert ops(legal(network, version="8.2.1")) == ["HardSigmoid", "Mul"]


@pytest.mark.parametrize("bounds", ["(x, l, h)", "(x, l)", "(x, , h)"])
@examples
@given(shape=SHAPES, seed=SEEDS)
def test_clip_of_half_floats(bounds: str, shape: tuple[int, ...], seed: int) -> None:
    """8.2 reads the bounds as the bits of FP32: without an error, and wrong."""
    limits = {"l": np.array(-1, np.float16), "h": np.array(2, np.float16)}
    used = {name: value for name, value in limits.items() if name in bounds}
    text = f"net (float16[{dims(shape)}] x) => (float16[{dims(shape)}] y) {{ y = Clip {bounds} }}"
    network = model(text, used, opset=13)
    feeds = {"x": normal(shape, seed).astype(np.float16)}
    assert "Clip" not in ops(legal(network, feeds))
    assert ops(legal(network, feeds, version="8.5.2")) == ["Clip"]


@pytest.mark.parametrize("version", ["8.2.1", "10.3.0"])
@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("bounds", ["(x, l, h)", "(x, l)", "(x, , h)"])
def test_clip_of_integers(bounds: str, kind: str, version: str) -> None:
    limits = {"l": np.array(-1, kind), "h": np.array(2, kind)}
    used = {name: value for name, value in limits.items() if name in bounds}
    network = model(f"net ({kind}[6] x) => ({kind}[6] y) {{ y = Clip {bounds} }}", used, opset=13)
    feeds = {"x": np.array([-7, -1, 0, 2, 3, 16_777_217], kind)}
    assert "Clip" not in ops(legal(network, feeds, version=version))


# Normalizations


@examples
@given(shape=SHAPES, data=st.data(), bias=st.booleans(), seed=SEEDS)
def test_layer_normalization(shape: tuple[int, ...], data: st.DataObject, bias: bool, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    weights = {"w": normal(shape[axis % len(shape) :], seed + 1)}
    if bias:
        weights["b"] = normal(shape[axis % len(shape) :], seed + 2)
    network = model(
        f"net (float[{dims(shape)}] x) => (float[{dims(shape)}] y) "
        f"{{ y = LayerNormalization <axis = {axis}, epsilon = 0.01> ({', '.join(['x', *weights])}) }}",
        weights,
    )
    legal(network, {"x": normal(shape, seed)})


@examples
@given(shape=SHAPES, data=st.data(), seed=SEEDS)
def test_rms_normalization(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    network = model(
        f"net (float[{dims(shape)}] x) => (float[{dims(shape)}] y) "
        f"{{ y = RMSNormalization <axis = {axis}, epsilon = 0.01> (x, w) }}",
        {"w": normal(shape[axis % len(shape) :], seed + 1)},
        opset=23,
    )
    x, w = normal(shape, seed), normal(shape[axis % len(shape) :], seed + 1)
    copy = network.clone()
    legalize(copy, limits_for("8.2.1"))
    axes = tuple(range(axis % len(shape), len(shape)))
    expected = x / np.sqrt((x * x).mean(axis=axes, keepdims=True) + 0.01) * w
    assert compare({"y": expected}, Reference(copy).run({"x": x})).within(1e-5)


@pytest.mark.parametrize("opset", [18, 21])
@examples
@given(groups=st.integers(1, 3), each=st.integers(1, 3), rest=SHAPES, seed=SEEDS)
def test_group_normalization(opset: int, groups: int, each: int, rest: tuple[int, ...], seed: int) -> None:
    """Scale and bias are per group in opset 18, which ONNX then deprecated, and per channel from 21 on."""
    shape, length = (2, groups * each, *rest[:3]), groups if opset == 18 else groups * each
    scale, bias, x = normal((length,), seed + 1), normal((length,), seed + 2), normal(shape, seed)
    parsed = proto(
        f"net (float[{dims(shape)}] x) => (float[{dims(shape)}] y) "
        f"{{ y = GroupNormalization <num_groups = {groups}, epsilon = 0.1> (x, w, b) }}",
        opset=opset,
    )
    parsed.graph.initializer.extend([onnx.numpy_helper.from_array(scale, "w"), onnx.numpy_helper.from_array(bias, "b")])
    network = ir.from_proto(parsed)
    legalize(network, limits_for("8.2.1"))
    assert refusals(network, limits_for("8.2.1")) == ()

    split = x.reshape(2, groups, -1)
    centred = split - split.mean(axis=2, keepdims=True)
    flat = centred / np.sqrt((centred**2).mean(axis=2, keepdims=True) + 0.1)
    if opset == 18:
        scale, bias = np.repeat(scale, each), np.repeat(bias, each)
    column = (1, groups * each, *[1] * len(rest[:3]))
    expected = flat.reshape(shape) * scale.reshape(column) + bias.reshape(column)
    assert compare({"y": expected}, Reference(network).run({"x": x})).within(1e-5)


# Integers and masks


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("fmod", [0, 1])
@examples
@given(
    a=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    b=st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=20),
)
def test_mod(dtype: str, fmod: int, a: list[int], b: list[int]) -> None:
    size = min(len(a), len(b))
    network = model(
        f"net ({dtype}[{size}] a, {dtype}[{size}] b) => ({dtype}[{size}] y) {{ y = Mod <fmod = {fmod}> (a, b) }}"
    )
    # -2**31 / -1 overflows in C, and so it does in ONNX Runtime's own Mod
    pairs = [(max(x, -(2**31) + 1), y) for x, y in zip(a, b, strict=False)]
    legal(network, {"a": np.array([x for x, _ in pairs], dtype), "b": np.array([y for _, y in pairs], dtype)})


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@examples
@given(shape=st.lists(SIZES, min_size=1, max_size=3).map(tuple), depth=st.integers(1, 6), data=st.data(), seed=SEEDS)
def test_one_hot(dtype: str, shape: tuple[int, ...], depth: int, data: st.DataObject, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    place = axis % (len(shape) + 1)
    result = (*shape[:place], depth, *shape[place:])
    network = model(
        f"net ({dtype}[{dims(shape)}] i) => (float[{dims(result)}] y) "
        f"<{dtype} depth = {{{depth}}}, float[2] v = {{-1, 2}}> {{ y = OneHot <axis = {axis}> (i, depth, v) }}"
    )
    indices = np.random.default_rng(seed).integers(-depth - 2, depth + 2, shape)  # outside: all off
    legal(network, {"i": indices.astype(dtype)})


@pytest.mark.parametrize("dtype", ["float", "bool"])
@examples
@given(shape=st.lists(SIZES, min_size=2, max_size=4).map(tuple), k=st.integers(-6, 6), upper=st.booleans(), seed=SEEDS)
def test_trilu(dtype: str, shape: tuple[int, ...], k: int, upper: bool, seed: int) -> None:
    network = model(
        f"net ({dtype}[{dims(shape)}] x) => ({dtype}[{dims(shape)}] y) <int64 k = {{{k}}}>"
        f"{{ y = Trilu <upper = {int(upper)}> (x, k) }}"
    )
    x = normal(shape, seed)
    legal(network, {"x": x if dtype == "float" else x > 0})


def test_trilu_keeps_nothing_of_a_nan_outside() -> None:
    network = model("net (float[2, 2] x) => (float[2, 2] y) { y = Trilu (x) }")
    legal(network, {"x": np.array([[1, 2], [np.nan, 3]], np.float32)})


@examples
@given(shape=SHAPES, data=st.data(), seed=SEEDS)
def test_xor(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    other = tuple(data.draw(st.sampled_from([1, size])) for size in shape)  # broadcast
    network = model(
        f"net (bool[{dims(shape)}] a, bool[{dims(other)}] b) => (bool[{dims(shape)}] y) {{ y = Xor (a, b) }}"
    )
    legal(network, {"a": normal(shape, seed) > 0, "b": normal(other, seed + 1) > 0})


@pytest.mark.parametrize("flags", ["", "<detect_negative = 0>", "<detect_positive = 0>"])
@examples
@given(values=st.lists(st.sampled_from([np.inf, -np.inf, np.nan, 0, 1, -3e38]), min_size=1, max_size=12))
def test_is_inf(flags: str, values: list[float]) -> None:
    network = model(f"net (float[{len(values)}] x) => (bool[{len(values)}] y) {{ y = IsInf {flags} (x) }}")
    legal(network, {"x": np.array(values, np.float32)})


@examples
@given(to=st.sampled_from(["int32", "float16", "bool"]), shape=SHAPES, seed=SEEDS)
def test_cast_like(to: str, shape: tuple[int, ...], seed: int) -> None:
    network = model(
        f"net (float[{dims(shape)}] x, {to}[1] like) => ({to}[{dims(shape)}] y) {{ y = CastLike (x, like) }}"
    )
    legal(network, {"x": normal(shape, seed), "like": np.zeros(1, to)})


@examples
@given(shape=SHAPES, start=st.integers(-5, 5), end=st.none() | st.integers(-5, 5))
def test_part_of_a_shape(shape: tuple[int, ...], start: int, end: int | None) -> None:
    flags = f"start = {start}" + ("" if end is None else f", end = {end}")
    network = model(
        f"net (float[{dims(shape)}] x) => (int64[{len(shape[start:end])}] y) {{ y = Shape <{flags}> (x) }}", opset=15
    )
    assert ops(legal(network)) == ["Identity"]


# Vectors


@examples
@given(stack=st.lists(SIZES, max_size=2).map(tuple), rows=SIZES, depth=SIZES, left=st.booleans(), seed=SEEDS)
def test_matmul_of_a_vector(stack: tuple[int, ...], rows: int, depth: int, left: bool, seed: int) -> None:
    matrix = (*stack, depth, rows) if left else (*stack, rows, depth)
    feeds = {"v": normal((depth,), seed), "m": normal(matrix, seed + 1)}
    network = model(
        f"net (float[{depth}] v, float[{dims(matrix)}] m) => (float[{dims((*stack, rows))}] y) "
        f"{{ y = MatMul ({'v, m' if left else 'm, v'}) }}"
    )
    product = next(node for node in legal(network, feeds).graph if node.op_type == "MatMul")
    assert all(value is not None and value.shape is not None and len(value.shape) >= 2 for value in product.inputs)


def test_matmul_of_two_vectors() -> None:
    legal(model("net (float[3] a, float[3] b) => (float y) { y = MatMul (a, b) }"))


# GridSample


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("align", [0, 1])
@examples
@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 6)] * 4),
    seed=SEEDS,
)
def test_grid_sample(mode: str, padding: str, align: int, sizes: tuple[int, ...], seed: int) -> None:
    n, c, h, w, i, j = sizes
    network = model(
        f"net (float[{n}, {c}, {h}, {w}] x, float[{n}, {i}, {j}, 2] g) => (float[{n}, {c}, {i}, {j}] y) "
        f'{{ y = GridSample <mode = "{mode}", padding_mode = "{padding}", align_corners = {align}> (x, g) }}'
    )
    grid = np.random.default_rng(seed).uniform(-1.5, 1.5, (n, i, j, 2)).astype(np.float32)
    legal(network, {"x": normal((n, c, h, w), seed), "g": grid})


@pytest.mark.parametrize("what", ['mode = "bicubic"', 'padding_mode = "reflection"'])
def test_grid_sample_of_another_kind_is_refused(what: str) -> None:
    network = model(
        f"net (float[1, 2, 4, 4] x, float[1, 3, 3, 2] g) => (float[1, 2, 3, 3] y) {{ y = GridSample <{what}> (x, g) }}"
    )
    legalize(network, limits_for("8.2.1"))
    assert [finding.op_type for finding in refusals(network, limits_for("8.2.1"))] == ["GridSample"]


# INT64

LARGEST = np.iinfo(np.int64).max


HUGE = st.sampled_from([LARGEST, LARGEST - 1, 2**31, -LARGEST, -(2**31) - 1])


@examples
@given(size=SIZES, start=st.integers(-6, 6) | HUGE, end=HUGE, step=st.sampled_from([1, 2, -1, -2]), seed=SEEDS)
def test_slice_bounds_fit_int32(size: int, start: int, end: int, step: int, seed: int) -> None:
    """ "To the end" and "to the beginning" mean the same with the largest INT32."""
    x = normal((size,), seed)
    network = model(
        f"net (float[{size}] x) => (float[{len(x[start:end:step])}] y) {{ y = Slice (x, from, to, axes, steps) }}",
        {"from": np.array([start]), "to": np.array([end]), "axes": np.array([0]), "steps": np.array([step])},
    )
    (node,) = legal(network, {"x": x}).graph
    bounds = [constant(value) for value in node.inputs[1:3]]
    assert all(bound is not None and abs(bound[0]) <= 2**31 for bound in bounds)


def test_int64_that_does_not_fit_is_refused() -> None:
    network = model("net (int64[1] x) => (int64[1] y) { y = Add (x, big) }", {"big": np.array([2**40])})
    assert "does not fit" in refusals(network, limits_for("8.2.1"))[0].reason
    assert refusals(network, limits_for("10.3.0")) == ()


# Sub-graphs, names of outputs


def test_nodes_in_branches_are_rewritten() -> None:
    network = model(
        """
        net (bool c, float[2] x) => (float[2] y) {
          y = If (c) <then_branch = t () => (float[2] a) { a = HardSwish (x) },
                      else_branch = e () => (float[2] b) { b = Mish (x) }>
        }
        """,
        opset=18,
    )
    legal(network, {"c": np.array(True), "x": np.array([1, -1], np.float32)})


def test_output_names_stay() -> None:
    network = model("net (float[2] x) => (float[2] y, float[2] z) { y = HardSwish (x)  z = Relu (y) }")
    copy = legal(network)
    assert [value.name for value in copy.graph.outputs] == ["y", "z"]
