"""YOLOX's Focus for programs without strided slices: with its convolution it equals one of twice the size."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

TAPS, PARTS = 3, 4


def merge_focus(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with every Focus and its 3x3 convolution as one 6x6 convolution of stride 2: as many MACs.

    Focus puts the pixels at even and odd rows and columns into channels: 2r + dy, 2s + dx of the picture are r, s of
    the part (dy, dx).
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in graph.node if node.op_type == "Constant"
    }
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        concat = makers.get(conv.input[0])
        if concat is None or concat.op_type != "Concat" or len(concat.input) != PARTS:
            continue
        sources, offsets = zip(*(_origin(name, makers, constants) for name in concat.input), strict=True)
        if len(set(sources)) != 1 or sorted(offsets) != [(0, 0), (0, 1), (1, 0), (1, 1)]:
            continue
        weights = constants[conv.input[1]]
        channels = weights.shape[1] // PARTS
        wide = np.zeros((weights.shape[0], channels, 2 * TAPS, 2 * TAPS), np.float32)
        for part, (dy, dx) in enumerate(offsets):
            wide[:, :, dy::2, dx::2] = weights[:, part * channels : (part + 1) * channels]
        graph.initializer.append(numpy_helper.from_array(wide, f"{conv.input[1]}_wide"))
        merged = helper.make_node(
            "Conv",
            [sources[0], f"{conv.input[1]}_wide", *conv.input[2:]],
            conv.output,
            kernel_shape=[2 * TAPS] * 2,
            strides=[2, 2],
            pads=[2, 2, 2, 2],
        )
        conv.CopyFrom(merged)
    _remove_unused(graph)
    return model


def _origin(
    name: str, makers: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray]
) -> tuple[str, tuple[int, ...]]:
    """Return what `name` is sliced from by steps of two, and the first row and column."""
    first = {2: 0, 3: 0}
    stepped = set()
    while name in makers and makers[name].op_type == "Slice":
        _, starts, _, axes, steps = makers[name].input
        for axis, start, step in zip(constants[axes], constants[starts], constants[steps], strict=True):
            if int(step) == 2 and int(axis) in first:
                first[int(axis)] = int(start)
                stepped.add(int(axis))
        name = makers[name].input[0]
    return name, (first[2], first[3]) if stepped == {2, 3} else ()


def _remove_unused(graph: onnx.GraphProto) -> None:
    while True:
        used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        dead = [node for node in graph.node if not used & set(node.output)]
        if not dead:
            return
        for node in dead:
            graph.node.remove(node)
