"""Heads that return maps over the picture: centres, text probabilities, classes of pixels, another picture."""

from __future__ import annotations

import onnx_ir as ir

from edgec.application.recognition.fields import (
    LAYERS,
    MOVING,
    between_ops,
    ends,
    is_sigmoid,
    softmax_axis,
)
from edgec.application.recognition.head import Facts, Head, Hint
from edgec.model.graph import attribute

STRIDES_OF_CENTRES = (2, 4, 8)
SHARES_OF_MASKS = (1, 2, 4, 8, 16)


def centernet(facts: Facts) -> Head | None:
    """A heat map from a sigmoid, and two maps of two channels over the same cells: sizes and offsets."""
    if len(facts.outputs) not in (2, 3) or any(len(shape) != 4 for _, shape in facts.outputs):
        return None
    cells = {shape[2:] for _, shape in facts.outputs}
    heat = [
        (value, shape)
        for value, shape in facts.outputs
        if "Sigmoid" in ends(value) or ("MaxPool" in facts.ops and "Sigmoid" in between_ops(value))
    ]
    others = [value for value, shape in facts.outputs if shape[1] == 2 and not any(value is each for each, _ in heat)]
    if len(cells) != 1 or len(heat) != 1 or len(others) != len(facts.outputs) - 1:
        return None
    height, width = cells.pop()
    stride = facts.size[0] // width
    if stride not in STRIDES_OF_CENTRES or facts.size[1] // height != stride:
        return None
    if any(between_ops(value) & {"Exp", "Sigmoid", "Relu"} - {"Relu"} for value in others):
        return None
    settings = {"heatmap": heat[0][0].name, "sizes": others[0].name}
    assumed: tuple[str, ...] = ()
    if len(others) == 2:
        sizes, offsets = _by_name(others)
        settings |= {"sizes": sizes.name, "offsets": offsets.name}
        assumed = (f"{sizes.name} are the sizes, {offsets.name} the offsets, in cells",)
    return Head("centernet", f"a heat map of centres at stride {stride}, sizes and offsets", settings, assumed=assumed)


def _by_name(maps: list[ir.Value]) -> tuple[ir.Value, ir.Value]:
    """Return sizes and offsets: by their names, else in the order of CenterNet's original code."""
    first, second = (value.name or "" for value in maps)
    swapped = any(word in first.lower() for word in ("reg", "off")) or any(
        word in second.lower() for word in ("wh", "size")
    )
    return (maps[1], maps[0]) if swapped else (maps[0], maps[1])


def dbnet(facts: Facts) -> Head | None:
    """[1, 1, h, w] from a sigmoid after two transposed convolutions of stride 2: text probabilities of DBNet."""
    if len(facts.outputs) != 1:
        return None
    value, shape = facts.outputs[0]
    if len(shape) != 4 or shape[:2] != (1, 1) or shape[2:] != (facts.size[1], facts.size[0]) or not is_sigmoid(value):
        return None
    node = _layer_above(value)
    second = _layer_above(node.inputs[0]) if node is not None else None
    for layer in (node, second):
        if layer is None or layer.op_type != "ConvTranspose" or tuple(attribute(layer, "strides", ())) != (2, 2):
            return None
    return Head("dbnet", "a map of probabilities of the picture's size, behind two transposed convolutions (DBNet)")


def class_map(facts: Facts) -> Head | Hint | None:
    """Classes of pixels as integers, or scores of at least two classes over the picture."""
    if len(facts.outputs) != 1:
        return None
    value, shape = facts.outputs[0]
    map_shape = shape[1:] if len(shape) == 3 else shape[2:] if len(shape) == 4 else ()
    if len(map_shape) != 2 or shape[0] != 1 or not _covers(facts, map_shape):
        return None
    if ends(value) == {"ArgMax"} and (len(shape) == 3 or shape[1] == 1):
        if value.dtype is None or value.dtype.is_floating_point():
            return None
        return Head("class-map", "the class of each pixel, by ArgMax")
    if len(shape) != 4:
        return None
    if shape[1] >= 2 and softmax_axis(value) == 1:
        return Head("class-map", f"scores of {shape[1]} classes for each pixel, by a softmax")
    resized = {"Resize", "Upsample"} & ends(value)
    if shape[1] >= 2 and shape[1] != 3 and resized and map_shape == (facts.size[1], facts.size[0]):
        node = value.producer()
        while node is not None and node.op_type in MOVING:
            node = node.inputs[0].producer() if node.inputs[0] is not None else None
        layer = _layer_above(node.inputs[0], direct=True) if node is not None and node.inputs[0] is not None else None
        if layer is not None:
            return Head(
                "class-map",
                f"scores of {shape[1]} classes, brought to the picture's size by {node.op_type}" if node else "",
            )
    if shape[1] == 1 and is_sigmoid(value):
        return Hint(
            "the output is a map of one channel by a sigmoid: a mask of one class (--decoder class-map,threshold=0.5) "
            "or a picture (--decoder picture)"
        )
    return None


def super_resolution(facts: Facts) -> Head | None:
    """A colour picture, larger than the input, from a rearrangement of channels (DepthToSpace)."""
    if len(facts.outputs) != 1:
        return None
    value, shape = facts.outputs[0]
    node = value.producer()
    while node is not None and node.op_type in MOVING | {"Clip", "Add", "Mul"}:
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    if len(shape) != 4 or shape[1] != 3 or node is None or node.op_type != "DepthToSpace":
        return None
    factor = shape[3] / facts.size[0]
    if factor <= 1 or shape[2] != factor * facts.size[1]:
        return None
    return Head("picture", f"a picture of {factor:g} times the size", assumed=("its values are 0..1, in RGB",))


def _covers(facts: Facts, cells: tuple[int, ...]) -> bool:
    return any((-(-facts.size[1] // share), -(-facts.size[0] // share)) == tuple(cells) for share in SHARES_OF_MASKS)


def _layer_above(value: ir.Value | None, *, direct: bool = False) -> ir.Node | None:
    """Return the layer with weights that leads to `value` along first inputs; with `direct`, without other nodes."""
    node = None if value is None else value.producer()
    for _ in range(12):
        if node is None or node.op_type in LAYERS:
            return node
        if direct and node.op_type not in MOVING | {"Add"}:
            return None
        node = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return None
