"""Restrictions of a DLA on layers, in FP16 or INT8.

Sources: NVIDIA TensorRT documentation, "DLA Supported Layers and Restrictions"
(docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/dla-layer-restrictions.html), and the notes "If
executing this layer on DLA" in include/NvInfer.h of github.com/NVIDIA/TensorRT, tags 8.5.2 to v10.3.0: what all of
them allow. TensorRT 8.2 allows less of Resize: nearest, asymmetric, rounded down. This was not run on a DLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from edgec.model.graph import attribute, constant, scalar, shape_of

LARGEST_BATCH, LARGEST_SIZE = 4096, 8192
VOLTA = 72
LONG_KERNELS = (64, 96, 128)
"""Kernels and strides of transposed convolutions that may be longer than 32 if the other side is 1."""
SLOW_SQUARES = range(23, 33)
"""Square sizes of transposed convolutions that TensorRT leaves to the GPU, because compiling them takes long."""
SOFTMAX_AXIS = 1024
"""Maximum length of the axis of a Softmax with several axes longer than 1."""


def why_not_on_dla(node: ir.Node, sm: int) -> str:
    """Return the reason why the DLA does not run `node`; empty if it does.

    Args:
        node: Node of a legalized model with static shapes.
        sm: Compute capability of the board's GPU: 72 has DLA version 1, 87 version 2.
    """
    shape = shape_of(node.outputs[0])
    if shape is None or len(shape) != 4:
        return f"its output has {'no static shape' if shape is None else f'{len(shape)} axes'}, but must have 4"
    for sizes in (shape, (shape_of(node.inputs[0]) if node.inputs else None) or ()):
        if len(sizes) == 4 and sizes[0] > LARGEST_BATCH:
            return f"a batch of {sizes[0]} is over {LARGEST_BATCH}"
        if len(sizes) == 4 and max(sizes[1:]) > LARGEST_SIZE:
            return f"a size of {max(sizes[1:])} is over {LARGEST_SIZE}"
    if node.op_type in ("GlobalMaxPool", "ReduceMax", "Softmax") and sm <= VOLTA:
        return f"DLA version 1 has no {node.op_type}"
    rule = RULES.get(node.op_type)
    return f"{node.op_type} is not a layer of the DLA" if rule is None else rule(node)


def _window(node: ir.Node, kernel: int, stride: int, pad: int) -> str:
    weights = shape_of(node.inputs[1]) if len(node.inputs) > 1 else None
    window = attribute(node, "kernel_shape", weights[2:] if weights else ())
    if len(window) != 2:
        return f"its window has {len(window)} axes, but must have 2"
    for what, values, most in (
        ("kernel", window, kernel),
        ("stride", attribute(node, "strides", (1,)), stride),
        ("padding", attribute(node, "pads", (0,)), pad),
        ("dilation", attribute(node, "dilations", (1,)), 32),
    ):
        if max(values) > most:
            return f"{what} {max(values)} is over {most}"
    return ""


def _convolution(node: ir.Node) -> str:
    weights, pads = shape_of(node.inputs[1]), attribute(node, "pads", (0,))
    if weights is not None and any(pad >= size for pad, size in zip(pads, weights[2:] * 2, strict=False)):
        return "padding must be smaller than the kernel"
    return _window(node, 32, 8, 31)


def _deconvolution(node: ir.Node) -> str:
    if attribute(node, "group", 1) != 1 or any(size != 1 for size in attribute(node, "dilations", (1,))):
        return "groups and dilations of transposed convolutions are not supported"
    if any(attribute(node, "pads", (0,))):
        return "padding must be 0"
    weights = shape_of(node.inputs[1])
    kernel = tuple(weights[2:]) if weights is not None else ()
    for what, sizes in (("kernel", kernel), ("stride", attribute(node, "strides", (1, 1)))):
        if len(sizes) == 2 and sizes[0] == sizes[1] and sizes[0] in SLOW_SQUARES:
            return f"a {what} of {sizes[0]} by {sizes[0]} is left to the GPU"
        if max(sizes, default=0) > 32 and not (max(sizes) in LONG_KERNELS and min(sizes) == 1):
            return f"{what} {max(sizes)} is over 32"
    return "" if len(kernel) == 2 else f"its window has {len(kernel)} axes, but must have 2"


def _pooling(node: ir.Node) -> str:
    padded = any(attribute(node, "pads", (0,)))
    if node.op_type == "AveragePool" and padded and not attribute(node, "count_include_pad", 0):
        return "average pooling must count its padding"
    return _window(node, 8, 16, 7)


def _global_average(node: ir.Node) -> str:
    """Global pooling is a REDUCE on the GPU: see the log in NVIDIA-AI-IOT/jetson_dla_tutorial, step 5."""
    return "it is read as a mean, which runs on the GPU; AveragePool with a window of up to 8 runs on the DLA"


def _concat(node: ir.Node) -> str:
    return "" if attribute(node, "axis", 1) in (1, -3) else "it must be along the channels"


def _elementwise(node: ir.Node) -> str:
    shapes = [shape_of(value) for value in node.inputs]
    known = [shape for shape in shapes if shape is not None]
    full = max(known, key=math.prod)
    for shape in known:
        padded = (1,) * (4 - len(shape)) + shape
        if padded not in (full, (*full[:2], 1, 1), (1, full[1], 1, 1), (full[0], 1, 1, 1), (1, 1, 1, 1)):
            return f"an operand of shape {list(shape)} is not broadcast by the DLA"
    return ""


def _prelu(node: ir.Node) -> str:
    return "" if constant(node.inputs[1]) is not None else "its slope must be constant"


def _clip(node: ir.Node) -> str:
    low, high = (scalar(value) for value in (*node.inputs[1:3], None, None)[:2])
    if low != 0 or high is None or not 1 <= high <= 127:
        return "it must clip to 0 and a bound from 1 to 127"
    return ""


def _resize(node: ir.Node) -> str:
    mode, place = attribute(node, "mode", "nearest"), attribute(node, "coordinate_transformation_mode", "half_pixel")
    rounding = attribute(node, "nearest_mode", "round_prefer_floor") if mode == "nearest" else ""
    if (mode, place, rounding) not in RESIZES:
        return f"mode {' '.join((mode, place, rounding)).strip()} is not supported"
    before, after, most = shape_of(node.inputs[0]), shape_of(node.outputs[0]), 32 if mode == "nearest" else 4
    factors = [new / old for new, old in zip(after or (), before or (), strict=False)]
    fits = factors[:2] == [1, 1] and all(factor in range(1, most + 1) for factor in factors[2:])
    return "" if fits else f"its factors must be integers, 1 to {most}, on height and width only"


RESIZES = {
    ("nearest", "asymmetric", "floor"),
    ("nearest", "half_pixel", "round_prefer_floor"),
    ("nearest", "half_pixel", "round_prefer_ceil"),
    ("linear", "half_pixel", ""),
}
"""Supported combinations of mode, coordinates and rounding."""


def _slice(node: ir.Node) -> str:
    if any(constant(value) is None for value in node.inputs[1:] if value is not None):
        return "its bounds must be constant"
    steps = constant(node.inputs[4]) if len(node.inputs) > 4 else None
    return _same_batch(node) if steps is None or (steps == 1).all() else "its steps must be 1"


def _same_batch(node: ir.Node) -> str:
    """For Slice and Split: 4 axes, and the whole batch."""
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    return "" if before and after and len(before) == 4 and before[0] == after[0] else "the batch must stay whole"


def _softmax(node: ir.Node) -> str:
    shape = shape_of(node.outputs[0]) or (1,)
    axis = attribute(node, "axis", -1) % len(shape)
    if axis == 0:
        return "it must be along channels, height or width"
    alone = math.prod(shape[1:]) == shape[axis]
    return "" if alone or shape[axis] <= SOFTMAX_AXIS else f"its axis of {shape[axis]} is over {SOFTMAX_AXIS}"


def _lrn(node: ir.Node) -> str:
    return "" if attribute(node, "size", 0) in (3, 5, 7, 9) else "its window must be 3, 5, 7 or 9"


def _reduce_max(node: ir.Node) -> str:
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else attribute(node, "axes", (0,))
    whole = axes is not None and all(axis % 4 for axis in axes)
    return "" if whole and attribute(node, "keepdims", 1) else "it must keep its axes and the batch"


def _any(node: ir.Node) -> str:
    return ""


RULES: dict[str, Callable[[ir.Node], str]] = {
    **dict.fromkeys(("Abs", "LeakyRelu", "Relu", "Sigmoid", "Tanh"), _any),
    **dict.fromkeys(("Add", "Max", "Min", "Mul", "Sub", "Sum"), _elementwise),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pooling),
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _any,
    "BatchNormalization": _any,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "ConvTranspose": _deconvolution,
    "LRN": _lrn,
    "PRelu": _prelu,
    "ReduceMax": _reduce_max,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _same_batch,
}
