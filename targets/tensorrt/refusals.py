"""Reasons why TensorRT's parser would reject a node, or read it wrongly, although it supports the operator.

Each predicate takes a node that is in the version's table and returns the reason, or None. Sources: the assertions in
onnx-tensorrt's builtin_op_importers.cpp and the restrictions in its docs/operators.md, at the commits that
operators.toml names.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant, dtype_of, shape_of
from edgec.model.traits import REDUCTIONS
from edgec.targets.tensorrt.legalize.fp64 import survives
from edgec.targets.tensorrt.legalize.int64 import fits
from edgec.targets.tensorrt.limits import Limits
from edgec.targets.tensorrt.refuse_quantize import refuse_quantize
from edgec.targets.tensorrt.refuse_resize import refuse_resize

Refusal = Callable[[ir.Node, Limits], str | None]


def _dilated_pool(node: ir.Node, limits: Limits) -> str | None:
    if set(attribute(node, "dilations", (1,))) != {1}:
        return "pooling with dilations is not read"
    return None


def _uneven_pads(node: ir.Node, limits: Limits) -> str | None:
    pads = attribute(node, "pads")
    if pads is None or limits.version != "8.2":
        return None
    half = len(pads) // 2
    if all(end - begin in (0, 1) for begin, end in zip(pads[:half], pads[half:], strict=True)):
        return None
    return f"pads {list(pads)}: the end may be padded by at most one more than the beginning"


def _pool_indices(node: ir.Node, limits: Limits) -> str | None:
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return "the indices of the maxima are not available"
    return None


def _pool_rank(node: ir.Node, limits: Limits) -> str | None:
    window = attribute(node, "kernel_shape")
    return f"a window of {len(window)} axes is not available" if window and len(window) > 3 else None


def _computed_weights(node: ir.Node, limits: Limits) -> str | None:
    """Before 8.5 the bias must be an initializer; the weight may come from DequantizeLinear."""
    if limits.version != "8.2":
        return None
    if len(node.inputs) > 2 and node.inputs[2] is not None and constant(node.inputs[2]) is None:
        return "its bias is computed, but must be an initializer"
    weight = node.inputs[1]
    if weight is None or constant(weight) is not None:
        return None
    producer = weight.producer()
    return None if producer is not None and producer.op_type == "DequantizeLinear" else "its weight is computed"


def _conv_transpose(node: ir.Node, limits: Limits) -> str | None:
    pads = attribute(node, "pads", ())
    half = len(pads) // 2
    if limits.version == "8.2" and half == 3 and pads[:3] != pads[3:]:
        return f"pads {list(pads)}: in 3-D both ends must be padded alike"
    return None


def _needs_constant(*indices: int) -> Refusal:
    def refusal(node: ir.Node, limits: Limits) -> str | None:
        for index in indices:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and constant(value) is None:
                return f"its input {index} ({value.name!r}) must be constant"
        return None

    return refusal


def _where(node: ir.Node, limits: Limits) -> str | None:
    return "boolean branches are not read" if limits.version == "8.2" and dtype_of(node.inputs[1]) == np.bool_ else None


def _rank(*ranks: int) -> Refusal:
    def refusal(node: ir.Node, limits: Limits) -> str | None:
        shape = shape_of(node.inputs[0])
        if shape is None or len(shape) in ranks:
            return None
        return f"its input has {len(shape)} axes, it must have {' or '.join(map(str, ranks))}"

    return refusal


def _pad_mode(node: ir.Node, limits: Limits) -> str | None:
    mode = attribute(node, "mode", "constant")
    return None if mode in ("constant", "reflect", "edge") else f"mode {mode} is not available"


def _scatter(node: ir.Node, limits: Limits) -> str | None:
    reduction = attribute(node, "reduction", "none")
    return None if reduction == "none" else f"reduction {reduction} is ignored, so the result would be wrong"


def _slice(node: ir.Node, limits: Limits) -> str | None:
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return None
    return None if limits.has_int64 or constant(node.inputs[3]) is not None else "its axes must be constant"


def _seeded(node: ir.Node, limits: Limits) -> str | None:
    return "its seed is not read, so the random numbers would differ" if "seed" in node.attributes else None


def _even_pads(node: ir.Node, limits: Limits) -> str | None:
    pads = attribute(node, "pads", ())
    half = len(pads) // 2
    return None if pads[:half] == pads[half:] else f"pads {list(pads)}: both ends must be padded alike"


def _trilu_rank(node: ir.Node, limits: Limits) -> str | None:
    return _rank(2, 3)(node, limits) if limits.version == "8.5" else None


def _top_k(node: ir.Node, limits: Limits) -> str | None:
    k = constant(node.inputs[1])
    if k is None:
        return "K must be constant"
    if not attribute(node, "sorted", 1) and limits.has_int64:
        return "sorted must be 1"
    return (
        f"K is {int(k.reshape(-1)[0])}, at most 3839 are possible" if k.size and int(k.reshape(-1)[0]) >= 3840 else None
    )


def _recurrent(node: ir.Node, limits: Limits) -> str | None:
    if attribute(node, "layout", 0):
        return "layout must be 0"
    if attribute(node, "input_forget", 0):
        return "input_forget must be 0"
    activations = attribute(node, "activations")
    if attribute(node, "direction", "forward") == "bidirectional" and activations:
        half = len(activations) // 2
        if activations[:half] != activations[half:]:
            return "forward and reverse activations must be the same"
    return None


def _training(node: ir.Node, limits: Limits) -> str | None:
    return "it is in training mode" if attribute(node, "training_mode", 0) else None


def _training_dropout(node: ir.Node, limits: Limits) -> str | None:
    training = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    return "it is in training mode" if training is not None and training.any() else None


def _float_range(node: ir.Node, limits: Limits) -> str | None:
    """In 8.2 computed bounds must be integers."""
    if limits.version != "8.2" or all(constant(value) is not None for value in node.inputs):
        return None
    dtype = dtype_of(node.inputs[0])
    return "float bounds must be constant" if dtype is not None and dtype.kind == "f" else None


def _norm_power(node: ir.Node, limits: Limits) -> str | None:
    return None if attribute(node, "p", 2) in (1, 2) else f"p is {attribute(node, 'p')}, but must be 1 or 2"


def _einsum(node: ir.Node, limits: Limits) -> str | None:
    equation = str(attribute(node, "equation", "")).replace(" ", "")
    operands = equation.split("->", maxsplit=1)[0].split(",")
    if "..." in equation:
        return "an ellipsis is not read"
    return "a repeated index in one operand is not read" if any(len(set(o)) < len(o) for o in operands) else None


def _layer_normalization(node: ir.Node, limits: Limits) -> str | None:
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "mean and inverse deviation are not available"
    return None


def _mod(node: ir.Node, limits: Limits) -> str | None:
    dtype = dtype_of(node.inputs[0])
    if dtype is not None and dtype.kind == "f" and not attribute(node, "fmod", 0):
        return "floats need fmod=1"
    return None


def _int64_constants(node: ir.Node, limits: Limits) -> str | None:
    if limits.has_int64:
        return None
    for value in node.inputs:
        array = constant(value)
        if array is not None and array.dtype in (np.int64, np.uint32, np.uint64) and not fits(array):
            return f"its constant {value.name if value else ''!r} is read as INT32 and does not fit"
    return None


def _fp64(node: ir.Node, limits: Limits) -> str | None:
    """Name the constant because of which `legalize` left FP64 in the graph."""
    if all(dtype_of(value) != np.float64 for value in (*node.inputs, *node.outputs)):
        return None
    nearby = node.graph.initializers.values() if isinstance(node.graph, ir.Graph) else ()
    for value in (*node.inputs, *nearby):
        array = constant(value)
        if array is not None and array.dtype == np.float64 and not survives(array):
            name = value.name if value else ""
            return f"it computes in float64, which would be read as FP32, but {name!r} does not fit that"
    return None


def _foreign_type(node: ir.Node, limits: Limits) -> str | None:
    taken = {"bool", "int8", "int32", "int64", "float16", "float32"}
    taken |= {"uint8"} if limits.has_uint8 else set()
    taken |= {"bfloat16"} if limits.has_int64 else set()
    for value in (*node.inputs, *node.outputs):
        dtype = dtype_of(value)
        if dtype is not None and dtype.name not in taken:
            return f"{value.name if value else ''!r} is {dtype.name}, a type that TensorRT does not have"
    return None


REFUSALS: dict[str, tuple[Refusal, ...]] = {
    "AveragePool": (_dilated_pool, _uneven_pads, _pool_rank),
    "BatchNormalization": (_training,),
    "Conv": (_computed_weights,),
    "ConvTranspose": (_computed_weights, _conv_transpose, _rank(3, 4, 5)),
    "CumSum": (_needs_constant(1),),
    "DepthToSpace": (_rank(4),),
    "DeformConv": (_even_pads,),
    "DequantizeLinear": (refuse_quantize,),
    "Dropout": (_needs_constant(2), _training_dropout),
    "Einsum": (_einsum,),
    "GRU": (_recurrent,),
    "Gemm": (_rank(2),),
    "GridSample": (_rank(4),),
    "InstanceNormalization": (_needs_constant(1, 2), _rank(3, 4, 5)),
    "LSTM": (_recurrent,),
    "LayerNormalization": (_layer_normalization,),
    "LpNormalization": (_norm_power,),
    "LpPool": (_norm_power, _dilated_pool),
    "MaxPool": (_dilated_pool, _pool_indices, _pool_rank),
    "Mod": (_mod,),
    "OneHot": (_needs_constant(1),),
    "Pad": (_pad_mode,),
    "QuantizeLinear": (refuse_quantize,),
    "RNN": (_recurrent,),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), (_seeded,)),
    "Range": (_float_range,),
    "Resize": (refuse_resize,),
    "ScatterElements": (_scatter,),
    "ScatterND": (_scatter,),
    "Slice": (_slice,),
    "SpaceToDepth": (_rank(4),),
    "Squeeze": (_needs_constant(1),),
    "TopK": (_top_k,),
    "Trilu": (_trilu_rank,),
    "Unsqueeze": (_needs_constant(1),),
    "Upsample": (_needs_constant(1),),
    "Where": (_where,),
    **dict.fromkeys(REDUCTIONS, (_needs_constant(1),)),
}

ANY_NODE: tuple[Refusal, ...] = (_int64_constants, _fp64, _foreign_type)
