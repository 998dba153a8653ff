"""Fixing shapes: defaults, `--shape`, what is refused, and that everything behind the inputs becomes static."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.errors import BadModel, BadOption, UnsupportedModel
from edgec.model.cost import layer_costs, total_cost
from edgec.model.graph import is_static
from edgec.model.infer import infer_shapes
from edgec.model.load import load
from edgec.model.serialize import to_bytes
from edgec.model.shapes import fix_shapes
from edgec.model.signature import outputs_of
from tests.support.models import CONV_BN_RELU, proto
from tests.support.uses.generate import use_of
from tests.support.uses.judge import reference


def fixed(graph: str, opset: int = 17, **shapes: tuple[int, ...]) -> ir.Model:
    return fix_shapes(load(proto(graph, opset=opset)).model, shapes)


def shape_of(model: ir.Model, name: str) -> tuple[int, ...]:
    values = ir.convenience.create_value_mapping(model.graph)
    assert is_static(values[name])
    return values[name].shape.numpy()


def test_open_batch_is_one() -> None:
    model = fixed(CONV_BN_RELU)
    assert shape_of(model, "image") == (1, 3, 8, 8)
    assert shape_of(model, "c") == shape_of(model, "y") == (1, 4, 8, 8)


def test_weights_in_constant_nodes_have_their_shape() -> None:
    body = "{ w = Constant <value: tensor = float[1] {0}> ()  y = Conv (x, w) }"
    weights = proto(f"g (float[1, 8, 6, 6] x) => (float[1, 16, 4, 4] y) {body}")
    large = onnx.numpy_helper.from_array(np.ones((16, 8, 3, 3), np.float32))
    weights.graph.node[0].attribute[0].t.CopyFrom(large)
    model = fix_shapes(load(weights).model, {})
    assert shape_of(model, "w") == (16, 8, 3, 3)
    assert total_cost(layer_costs(model)).macs == 16 * 8 * 9 * 16


@pytest.mark.parametrize("size", [0, -1])
def test_zero_or_negative_batch_is_one(size: int) -> None:
    source = proto(CONV_BN_RELU)
    source.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    assert shape_of(fix_shapes(load(source).model, {}), "y") == (1, 4, 8, 8)


def test_shape_may_set_the_batch() -> None:
    assert shape_of(fixed(CONV_BN_RELU, image=(5, 3, 8, 8)), "y") == (5, 4, 8, 8)


def test_same_name_same_size() -> None:
    graph = "g (float[N, T] a, float[N, T] b, float[T] c) => (float[N, T] y) { d = Add (a, b)  y = Mul (d, c) }"
    model = fixed(graph, a=(2, 7))
    assert (shape_of(model, "b"), shape_of(model, "c")) == ((2, 7), (7,))


def test_question_marks_are_not_one_name() -> None:
    source = proto("g (float[1, A, B] x) => (float[1, C, D] y) { y = Relu (x) }")
    for dim in source.graph.input[0].type.tensor_type.shape.dim[1:]:
        dim.dim_param = "?"
    assert shape_of(fix_shapes(load(source).model, {"x": (1, 2, 3)}), "y") == (1, 2, 3)


def test_the_model_given_is_left_alone() -> None:
    model = load(proto(CONV_BN_RELU)).model
    before = to_bytes(model)
    fix_shapes(model, {"image": (2, 3, 8, 8)})
    assert to_bytes(model) == before


def test_wrong_shapes_left_by_an_exporter_are_replaced() -> None:
    source = proto("g (float[N, 4] x) => (float[N] y) { m = Relu (x)  y = Relu (m) }")
    source.graph.value_info.append(onnx.helper.make_tensor_value_info("m", onnx.TensorProto.FLOAT, [9, 9]))
    model = fix_shapes(load(source).model, {})
    assert shape_of(model, "m") == shape_of(model, "y") == (1, 4)


def test_shape_arithmetic_is_followed() -> None:
    # ONNX's own data propagation stops at the cast to int32 and at the division.
    graph = """g (float[N, 8, H, W] x) => (float[N, P, Q] y)
    <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int32[1] half = {2}, int64[1] rest = {-1}> {
      s = Shape (x)  i = Cast <to = 6> (s)  n = Slice (i, zero, one)  c = Slice (i, one, two)
      h = Div (c, half)  r = Cast <to = 6> (rest)  t = Concat <axis = 0> (n, h, r)  u = Cast <to = 7> (t)
      y = Reshape (x, u) }"""
    assert shape_of(fixed(graph, x=(2, 8, 4, 4)), "y") == (2, 4, 32)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_reshape_to_a_gathered_batch(opset: int) -> None:
    unsqueeze = "Unsqueeze <axes = [0]> (b)" if opset < 13 else "Unsqueeze (b, zero)"
    graph = f"""g (float[N, 2, 3] x) => (float[N, M] y) <int64 i = {{0}}, int64[1] zero = {{0}}, int64[1] rest = {{-1}}>
    {{ s = Shape (x)  b = Gather (s, i)  n = {unsqueeze}  t = Concat <axis = 0> (n, rest)  y = Reshape (x, t) }}"""
    assert shape_of(fixed(graph, opset), "y") == (1, 6)


def test_shapes_behind_foreign_operators_are_kept_and_their_names_filled_in() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "com.mine" : 1]>
    g (float[N, 4] x) => (float[N, 4] y) <float[N, 4] m> { m = com.mine.Magic (x)  y = Relu (m) }"""
    assert shape_of(fixed(text, x=(3, 4)), "y") == (3, 4)


def test_size_that_depends_on_the_data_stays_open() -> None:
    model = fixed("g (float[N, 4] x) => (int64[2, M] y) { y = NonZero (x) }")
    assert not is_static(model.graph.outputs[0])


def test_subgraphs_are_inferred_too() -> None:
    graph = """g (float[N, 4] x, bool flag) => (float[N, 4] y) { y = If (flag) <
      then_branch = a () => (float[P, 4] p) { p = Relu (x) },
      else_branch = b () => (float[P, 4] q) { q = Neg (x) }> }"""
    model = fixed(graph, x=(2, 4))
    assert [node.outputs[0].shape for node in model.graph.all_nodes()] == [ir.Shape([2, 4])] * 3


def test_inference_can_be_repeated_after_a_change() -> None:
    model = fixed(CONV_BN_RELU)
    model.graph.inputs[0].shape = ir.Shape([4, 3, 6, 6])
    infer_shapes(model)
    assert shape_of(model, "y") == (4, 4, 6, 6)


def test_unknown_dimension_names_input_and_flag() -> None:
    with pytest.raises(BadOption, match="input 'image' has dimensions without a size: height, width") as caught:
        fixed("g (float[N, 3, height, width] image) => (float[N, 3, H, W] y) { y = Relu (image) }")
    assert "--shape image=1,3,?,?" in caught.value.remedy


def test_unknown_dimension_of_a_second_input_uses_what_is_known() -> None:
    graph = "g (float[N, T] a, float[N, T, K] b) => (float[N, T] y) { y = Relu (a)  z = Relu (b) }"
    with pytest.raises(BadOption) as caught:
        fixed(graph, a=(2, 7))
    assert "--shape b=2,7,?" in caught.value.remedy


def test_wrong_name_lists_near_matches() -> None:
    with pytest.raises(BadOption, match="no input 'imag'") as caught:
        fixed(CONV_BN_RELU, imag=(1, 3, 8, 8))
    assert caught.value.remedy == "Did you mean image?"


def test_initializer_is_no_input() -> None:
    with pytest.raises(BadOption, match="no input 'scale'"):
        fixed(CONV_BN_RELU, scale=(4,))


def test_wrong_rank_shows_the_right_one() -> None:
    with pytest.raises(BadOption, match="has 4 dimensions, not 3") as caught:
        fixed(CONV_BN_RELU, image=(3, 8, 8))
    assert caught.value.remedy == "Its shape is image=N,3,8,8."


def test_one_name_cannot_have_two_sizes() -> None:
    graph = "g (float[N, T] a, float[N, T] b) => (float[N, T] y) { y = Add (a, b) }"
    with pytest.raises(
        BadOption, match="dimension 1 is 8, but the model calls it 'T', and elsewhere that is given as 7"
    ):
        fixed(graph, a=(1, 7), b=(1, 8))


def test_sizes_are_positive() -> None:
    with pytest.raises(BadOption, match="image=0,3,8,8: sizes must be 1 or more"):
        fixed(CONV_BN_RELU, image=(0, 3, 8, 8))


def test_input_without_rank() -> None:
    model = load(proto("g (float[1] x) => (float[1] y) { y = Relu (x) }")).model
    model.graph.inputs[0].shape = None
    with pytest.raises(UnsupportedModel, match="input 'x' has no shape"):
        fix_shapes(model, {})
    assert shape_of(fix_shapes(model, {"x": (2, 3)}), "y") == (2, 3)


def test_shape_the_network_cannot_take_names_op_and_node() -> None:
    graph = """g (float[N, 3, H, W] x) => (float[N, M] y) <float[48, 2] w>
    { f = Flatten (x)  y = MatMul (f, w) }"""
    source = proto(graph)
    source.graph.node[1].name = "head/fc"
    source.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [48, 2], [0.0] * 96))
    assert shape_of(fix_shapes(load(source).model, {"x": (1, 3, 4, 4)}), "y") == (1, 2)
    with pytest.raises(BadModel, match="MatMul node 'head/fc': Incompatible dimensions") as caught:
        fix_shapes(load(source).model, {"x": (1, 3, 5, 5)})
    assert "--shape" in caught.value.remedy


def test_types_that_contradict_each_other() -> None:
    with pytest.raises(BadModel, match="Add"):
        fixed("g (float[2] x, int64[2] i) => (float[2] y) { y = Add (x, i) }")


SIZES = st.integers(1, 6)
NAMES = st.sampled_from(["a", "b", "c", "?", ""])


@given(st.lists(SIZES | NAMES, min_size=1, max_size=5), st.data())
def test_any_input_with_its_full_shape_given_becomes_static(dims: list[int | str], data: st.DataObject) -> None:
    sizes = {name: data.draw(SIZES, label=name) for name in "abc"}
    shape = tuple(dim if isinstance(dim, int) else sizes.get(dim) or data.draw(SIZES) for dim in dims)
    source = proto("g (float[1] x) => (float y) { y = Relu (x) }")
    source.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims))
    model = fix_shapes(load(source).model, {"x": shape})
    assert shape_of(model, "x") == shape_of(model, "y") == shape
    again = fix_shapes(model, {"x": shape})
    assert to_bytes(again) == to_bytes(model)


@given(st.lists(SIZES | NAMES, min_size=1, max_size=5))
def test_without_shape_only_the_batch_has_a_default(dims: list[int | str]) -> None:
    source = proto("g (float[1] x) => (float y) { y = Relu (x) }")
    source.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims))
    model = load(source).model
    batch = dims[0] if isinstance(dims[0], str) else None
    needs_size = any(isinstance(dim, str) and (dim != batch or dim in ("", "?")) for dim in dims[1:])
    if not needs_size:
        expected = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
        assert shape_of(fix_shapes(model, {}), "y") == expected
        return
    with pytest.raises(BadOption, match="input 'x'") as caught:
        fix_shapes(model, {})
    assert "--shape x=" in caught.value.remedy
    assert "?" in caught.value.remedy


def test_group_normalization_has_the_shape_of_its_input() -> None:
    text = """g (float[N, 4, H, W] x) => (float[a, b, c, d] y) <float[4] s = {1, 1, 1, 1}, float[4] z = {0, 0, 0, 0}>
        { n = GroupNormalization <num_groups = 2> (x, s, z)  y = Relu (n) }"""
    fixed = fix_shapes(load(proto(text, opset=21)).model, {"x": (2, 4, 3, 3)})
    assert [tuple(value.shape or ()) for value in fixed.graph.outputs] == [(2, 4, 3, 3)]


@pytest.mark.parametrize(
    ("operator", "seed"), [("GatherND", 1), ("MaxUnpool", 0), ("Transpose", 11)], ids=["scalar", "sizes", "of a scalar"]
)
def test_shapes_that_the_inference_of_onnx_leaves_open(operator: str, seed: int) -> None:
    use = use_of(operator, seed)
    expected = reference(use)
    assert expected is not None
    (output,) = outputs_of(fix_shapes(load(use.model()).model, {}))
    assert output.shape == expected[0].shape


def test_a_kernel_larger_than_its_input_is_refused() -> None:
    graph = "g (float[1, 4, 3, 3] x) => (float[1, 4, H, W] y) { y = MaxPool <kernel_shape = [5, 5]> (x) }"
    with pytest.raises(BadModel, match=r"MaxPool node 'y': its output y: float32\[1x4x-1x-1\] has a negative size"):
        fixed(graph)


def test_stft_gives_half_of_the_bins_unless_the_model_asks_for_all() -> None:
    graph = """g (float[1, 128, 1] x) => (float[1, 15, bins, 2] y)
      <int64 step = {8}, int64 length = {16}> { y = STFT ATTRIBUTES (x, step, "", length) }"""
    for attributes, bins in (("", 9), ("<onesided = 0>", 16)):
        fixed = fix_shapes(load(proto(graph.replace("ATTRIBUTES", attributes))).model, {})
        assert outputs_of(fixed)[0].shape == (1, 15, bins, 2)
