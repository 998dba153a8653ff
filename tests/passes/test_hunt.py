"""Graph surgery on random small networks: whatever the passes do, the outputs stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import Phase, HealthCheck, given, settings
from hypothesis import Phase, strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgec.model.load import load
from edgec.model.serialize import to_bytes
from edgec.model.shapes import fix_shapes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from tests.passes.equal import assert_same_outputs
from tests.support.models import ops

OPTIONS = CompileOptions(target="host", verify_passes=True)
PERMUTATIONS = ([0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 1, 2, 3])


class Network:
    """Grows a network node by node, and keeps the shape of every value."""

    def __init__(self, draw: Callable[..., int], shape: tuple[int, ...]) -> None:
        self.draw = draw
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.shapes = {"x": shape}
        self.rng = np.random.default_rng(self.pick(0, 1000))

    def pick(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        # Now and then a weight that other layers read too.
        same = [
            name
            for name, array in self.weights.items()
            if array.dtype == np.float32 and array.shape == shape and array.min() >= low
        ]
        if same and self.pick(0, 3) == 0:
            return same[self.pick(0, len(same) - 1)]
        name = f"w{len(self.weights)}"
        self.weights[name] = self.rng.uniform(low, high, shape).astype(np.float32)
        return name

    def ints(self, *values: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.array(values, np.int64)
        return name

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op}_{len(self.nodes)}", **attributes))
        self.shapes[name] = shape
        return name

    def model(self, outputs: list[str]) -> ir.Model:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "random",
            [value("x", TensorProto.FLOAT, self.shapes["x"])],
            [value(name, TensorProto.FLOAT, self.shapes[name]) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        opset = helper.make_opsetid("", 17)
        return fix_shapes(load(helper.make_model(graph, opset_imports=[opset], ir_version=8)).model, {})


def conv(net: Network, x: str) -> str:
    n, channels, height, width = net.shapes[x]
    kernel = net.pick(1, min(3, height, width))
    depthwise = net.pick(0, 2) == 0
    filters = channels if depthwise else net.pick(1, 4)
    pad = net.pick(0, kernel - 1) if kernel > 1 else 0
    w = net.weight(filters, 1 if depthwise else channels, kernel, kernel)
    inputs = [x, w] + ([net.weight(filters)] if net.pick(0, 1) else [])
    shape = (n, filters, height + 2 * pad - kernel + 1, width + 2 * pad - kernel + 1)
    return net.add("Conv", inputs, shape, pads=[pad] * 4, group=channels if depthwise else 1)


def conv_transpose(net: Network, x: str) -> str:
    n, channels, height, width = net.shapes[x]
    group = channels if net.pick(0, 1) else 1
    per_group = net.pick(1, 2)
    inputs = [x, net.weight(channels, per_group, 2, 2)]
    if net.pick(0, 1):
        inputs.append(net.weight(per_group * group))
    return net.add("ConvTranspose", inputs, (n, per_group * group, height + 1, width + 1), group=group)


def batch_norm(net: Network, x: str) -> str:
    channels = net.shapes[x][1]
    statistics = [net.weight(channels), net.weight(channels), net.weight(channels)]
    variance = net.weight(channels, low=0.5, high=2.0)
    return net.add("BatchNormalization", [x, *statistics, variance], net.shapes[x], epsilon=1e-3)


def affine(net: Network, x: str) -> str:
    shape = net.shapes[x]
    form = [(), (1,), (shape[1], 1, 1), (1, shape[1], 1, 1), (shape[3],), shape][net.pick(0, 5)]
    op = ["Mul", "Add", "Sub", "Div"][net.pick(0, 3)]
    constant = net.weight(*form, low=0.25, high=1.5)
    swapped = net.pick(0, 3) == 0
    return net.add(op, [x, constant] if not swapped or op == "Div" else [constant, x], shape)


def pad(net: Network, x: str) -> str:
    n, channels, height, width = net.shapes[x]
    top, left, bottom, right = (net.pick(0, 2) for _ in range(4))
    shape = (n, channels, height + top + bottom, width + left + right)
    mode = ["constant", "constant", "edge"][net.pick(0, 2)]
    inputs = [x, net.ints(0, 0, top, left, 0, 0, bottom, right)]
    if net.pick(0, 2) == 0:
        inputs.append(net.weight())
    return net.add("Pad", inputs, shape, mode=mode)


def pool(net: Network, x: str) -> str:
    n, channels, height, width = net.shapes[x]
    if min(height, width) < 2:
        return x
    attributes: dict[str, object] = {"kernel_shape": [2, 2], "strides": [1, 1]}
    margin = net.pick(0, 1)
    attributes["pads"] = [margin] * 4
    op = ["MaxPool", "AveragePool"][net.pick(0, 1)]
    if op == "AveragePool":
        attributes["count_include_pad"] = net.pick(0, 1)
    return net.add(op, [x], (n, channels, height - 1 + 2 * margin, width - 1 + 2 * margin), **attributes)


def transpose(net: Network, x: str) -> str:
    perm = PERMUTATIONS[net.pick(0, len(PERMUTATIONS) - 1)]
    return net.add("Transpose", [x], tuple(net.shapes[x][axis] for axis in perm), perm=perm)


def activation(net: Network, x: str) -> str:
    shape = net.shapes[x]
    kind = net.pick(0, 5)
    if kind == 0:
        return net.add("Relu", [x], shape)
    if kind == 1:
        return net.add("Mul", [net.add("Sigmoid", [x], shape), x], shape)
    if kind in (2, 3):
        for name, number in (("three", 3.0), ("zero", 0.0), ("six", 6.0)):
            net.weights[name] = np.array(number, np.float32)
        clip = net.add("Clip", [net.add("Add", [x, "three"], shape), "zero", "six"], shape)
        product = clip if kind == 2 else net.add("Mul", [x, clip], shape)
        return net.add("Div", [product, "six"], shape)
    if kind == 4:
        return net.add("Identity", [x], shape)
    flat = (shape[0], int(np.prod(shape[1:])))
    return net.add("Reshape", [net.add("Flatten", [x], flat, axis=1), net.ints(*shape)], shape)


def join(net: Network, x: str) -> str:
    shape = net.shapes[x]
    same = [name for name in net.shapes if net.shapes[name] == shape]
    other = same[net.pick(0, len(same) - 1)]
    if net.pick(0, 2):
        return net.add(["Add", "Mul", "Sum"][net.pick(0, 2)], [x, other], shape)
    axis = net.pick(1, 3)
    joined = list(shape)
    joined[axis] *= 2
    return net.add("Concat", [x, other], tuple(joined), axis=axis)


def squash(net: Network, x: str) -> str:
    n, channels, *_ = net.shapes[x]
    return net.add("ReduceMean", [x], (n, channels, 1, 1), axes=[2, 3])


STEPS = (
    conv,
    conv,
    conv_transpose,
    batch_norm,
    batch_norm,
    affine,
    affine,
    pad,
    pool,
    transpose,
    activation,
    join,
    squash,
)


@st.composite
def networks(draw: Callable[..., int]) -> ir.Model:
    net = Network(draw, (1, draw(st.integers(1, 3)), draw(st.integers(2, 5)), draw(st.integers(2, 5))))
    values = ["x"]
    for _ in range(draw(st.integers(1, 9))):
        # Mostly a chain, now and then a branch from an earlier value.
        source = values[-1] if net.pick(0, 3) else values[net.pick(0, len(values) - 1)]
        values.append(STEPS[net.pick(0, len(STEPS) - 1)](net, source))
    outputs = list(dict.fromkeys([values[-1], values[net.pick(0, len(values) - 1)]]))
    return net.model([name for name in outputs if name != "x"] or [net.add("Relu", ["x"], net.shapes["x"])])


def compiled(model: ir.Model) -> tuple[ir.Model, Record]:
    record = Record()
    return pipeline.run(model, profile=Profile(), options=OPTIONS, record=record), record


@settings(max_examples=900, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(networks())
def test_outputs_stay_and_the_result_is_at_rest(model: ir.Model) -> None:
    before = to_bytes(model)
    after, _ = compiled(model)
    assert_same_outputs(model, after, tolerance=1e-5)
    assert to_bytes(model) == before, "the argument was modified"
    assert not {"BatchNormalization", "Sum", "Div", "Flatten"} & set(ops(after))
    for node in after.graph:  # an Identity is left only where a name of the interface asks for it
        source = node.inputs[0]
        assert node.op_type != "Identity" or source.is_graph_input() or source.is_graph_output()
    again, record = compiled(after)
    assert [entry.name for entry in record.passes if entry.modified] == []
    assert to_bytes(again) == to_bytes(after)
    assert to_bytes(compiled(model)[0]) == to_bytes(after), "two runs differ"
