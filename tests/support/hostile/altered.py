"""Models with something odd in them that most loaders accept, by seed: so that what comes after the loader is tried."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.hostile.mutate import NAMES

ALIKE = (
    {"Abs", "Ceil", "Elu", "Erf", "Exp", "Floor", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Relu"}
    | {"Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "Reciprocal", "Softmax"},
    {"Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"},
    {"AveragePool", "LpPool", "MaxPool"},
    {"GlobalAveragePool", "GlobalMaxPool"},
    {"ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "ReduceProd"},
    {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"},
)
"""Operators of the same inputs: most attributes are taken off where one takes another's place."""
ODD_FLOATS = (0.0, -0.0, -1.0, 1e-45, 1e-30, 1e5, 1e38, float("inf"), float("nan"))
STEPS = (-2, -1, 1, 2, 7)


def altered_model(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return a copy of `model` with one to three things in it altered, which leave many models valid."""
    rng = random.Random(seed)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(rng.randint(1, 3)):
        rng.choice(ALTERATIONS)(changed, rng)
    return changed


def _weights(model: onnx.ModelProto, rng: random.Random) -> None:
    """Some numbers, all of them, or a whole filter become odd."""
    found = [each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT and each.dims]
    if not found:
        return
    tensor, value = rng.choice(found), np.float32(rng.choice(ODD_FLOATS))
    array = numpy_helper.to_array(tensor).copy()
    kind = rng.randrange(4) if array.size else 3
    if kind == 0:
        array.flat[rng.randrange(array.size)] = value
    elif kind == 1:
        array[rng.randrange(len(array))] = value
    elif kind == 2:
        array[...] = value
    else:
        with np.errstate(all="ignore"):
            array = array * np.float32(rng.choice((-1.0, 1e-6, 1e4, 1e20)))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    """One takes the place of another of the same inputs."""
    found = [(node, kinds) for node in model.graph.node for kinds in ALIKE if node.op_type in kinds]
    if found:
        node, kinds = rng.choice(found)
        node.op_type = rng.choice(sorted(kinds))
        kept = [each for each in node.attribute if each.name in ("axis", "axes", "keepdims", "kernel_shape", "strides")]
        del node.attribute[:]
        node.attribute.extend(kept)


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    """A number moves a little, or a float becomes odd."""
    found = [each for node in model.graph.node for each in node.attribute]
    if not found:
        return
    attribute, step = rng.choice(found), rng.choice(STEPS)
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] += step
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i += step
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(ODD_FLOATS)


def _edge(model: onnx.ModelProto, rng: random.Random) -> None:
    """A node reads another value of the same type that is there before it."""
    try:
        known = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # altered before
        return
    values = (*known.input, *known.value_info, *known.output)
    types = {each.name: each.type.SerializeToString() for each in values}
    place = rng.randrange(len(model.graph.node))
    node = model.graph.node[place]
    before = [each.name for each in model.graph.input]
    before += [name for each in model.graph.node[:place] for name in each.output]
    places = [index for index, name in enumerate(node.input) if name in types]
    if places:
        index = rng.choice(places)
        alike = [name for name in before if types.get(name) == types[node.input[index]]]
        node.input[index] = rng.choice(alike) if alike else node.input[index]


def _names(model: onnx.ModelProto, rng: random.Random) -> None:
    """A value or a node is called what no value or node should be."""
    name, node = rng.choice(NAMES), rng.choice(model.graph.node)
    if rng.random() < 0.3:
        node.name = name
        return
    old = rng.choice([*node.input, *node.output])
    for names in (part for each in model.graph.node for part in (each.input, each.output)):
        for index, each in enumerate(names):
            if each == old:
                names[index] = name
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        if value.name == old:
            value.name = name


def _outputs(model: onnx.ModelProto, rng: random.Random) -> None:
    """An inner value becomes an output too, or an output is one twice, or its shape is left open."""
    kind, outputs = rng.randrange(3), model.graph.output
    if kind == 0:
        node = rng.choice(model.graph.node)
        if node.output[0] not in {each.name for each in outputs}:
            outputs.add(name=node.output[0]).type.tensor_type.elem_type = TensorProto.FLOAT
    elif kind == 1:
        outputs.add().CopyFrom(rng.choice(outputs))
    else:
        for dim in rng.choice(outputs).type.tensor_type.shape.dim:
            dim.dim_param = rng.choice(("N", "?", ""))


def _constants(model: onnx.ModelProto, rng: random.Random) -> None:
    """Weights become a Constant node, an input with a default, or an input without one."""
    if not model.graph.initializer:
        return
    place = rng.randrange(len(model.graph.initializer))
    tensor, kind = model.graph.initializer[place], rng.randrange(3)
    if kind == 0:
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    else:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    if kind != 1:
        del model.graph.initializer[place]


def _sizes(model: onnx.ModelProto, rng: random.Random) -> None:
    """An input is larger, smaller, or has an open size."""
    dims = [dim for value in model.graph.input for dim in value.type.tensor_type.shape.dim]
    if dims and rng.random() < 0.5:
        rng.choice(dims).dim_param = rng.choice(("N", "batch", "?"))
    elif dims:
        dim = rng.choice(dims)
        dim.dim_value += rng.choice(STEPS)


def _version(model: onnx.ModelProto, rng: random.Random) -> None:
    """A neighbouring operator set."""
    model.opset_import[0].version += rng.choice(STEPS)


def _inserted(model: onnx.ModelProto, rng: random.Random) -> None:
    """A node that does nothing, or nearly, behind another."""
    place = rng.randrange(len(model.graph.node))
    node = model.graph.node[place]
    name, op_type = f"{node.output[0]}_before", rng.choice(("Identity", "Dropout", "Relu", "Abs", "Neg", "Flatten"))
    model.graph.node.insert(place + 1, helper.make_node(op_type, [name], [node.output[0]]))
    model.graph.node[place].output[0] = name


ALTERATIONS: tuple[Callable[[onnx.ModelProto, random.Random], None], ...] = (
    _weights, _weights, _operator, _operator, _attribute, _attribute, _edge, _edge, _names, _outputs, _constants,
    _sizes, _version, _inserted,
)  # fmt: skip
