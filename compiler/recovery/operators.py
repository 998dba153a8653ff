"""`OPERATORS`: ONNX operators as PyTorch computes them, from inputs and attributes to outputs.

Networks are in canonical form or as edgec wrote them, so that only the newest form of each operator is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgec.errors import UnsupportedModel
from edgec.recovery import windows
from edgec.recovery.pytorch import Tensor, pytorch

Attributes = Mapping[str, Any]
Operator = Callable[[list[Any], Attributes], Any]
torch = pytorch()
functional = torch.nn.functional

TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64,
}  # fmt: skip
"""PyTorch's types by ONNX's numbers."""


def _gemm(x: list[Tensor], a: Attributes) -> Tensor:
    left = x[0].t() if a.get("transA", 0) else x[0]
    right = x[1].t() if a.get("transB", 0) else x[1]
    product = left @ right * a.get("alpha", 1.0)
    return product if len(x) < 3 or x[2] is None else product + x[2] * a.get("beta", 1.0)


def _clip(x: list[Tensor], a: Attributes) -> Tensor:
    low, high = (*x[1:], None, None)[:2]
    return torch.clamp(x[0], None if low is None else low.item(), None if high is None else high.item())


def _batch_normalization(x: list[Tensor], a: Attributes) -> Tensor:
    image, scale, bias, mean, variance = x
    return functional.batch_norm(image, mean, variance, scale, bias, False, 0.0, a.get("epsilon", 1e-5))


def _instance_normalization(x: list[Tensor], a: Attributes) -> Tensor:
    return functional.instance_norm(x[0], weight=x[1], bias=x[2], eps=a.get("epsilon", 1e-5))


def _layer_normalization(x: list[Tensor], a: Attributes) -> Tensor:
    axis = a.get("axis", -1) % x[0].dim()
    bias = x[2] if len(x) > 2 else None
    return functional.layer_norm(x[0], x[0].shape[axis:], x[1], bias, a.get("epsilon", 1e-5))


def _softmax(x: list[Tensor], a: Attributes) -> Tensor:
    return torch.softmax(x[0], a.get("axis", -1))


def _reduce(function: Callable[..., Tensor]) -> Operator:
    def run(x: list[Tensor], a: Attributes) -> Tensor:
        given = x[1].tolist() if len(x) > 1 and x[1] is not None else list(a.get("axes", ()))
        if not given and a.get("noop_with_empty_axes", 0):
            return x[0]
        return function(x[0], dim=given or list(range(x[0].dim())), keepdim=bool(a.get("keepdims", 1)))

    return run


def _reduce_l2(x: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    return torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim)


def _split(x: list[Tensor], a: Attributes) -> Any:
    axis = a.get("axis", 0)
    if len(x) > 1 and x[1] is not None:
        return torch.split(x[0], x[1].tolist(), axis)
    return torch.split(x[0], -(-x[0].shape[axis] // a["num_outputs"]), axis)


def _slice(x: list[Tensor], a: Attributes) -> Tensor:
    starts, ends = x[1].tolist(), x[2].tolist()
    axes = x[3].tolist() if len(x) > 3 and x[3] is not None else range(len(starts))
    steps = x[4].tolist() if len(x) > 4 and x[4] is not None else [1] * len(starts)
    result = x[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(result.shape[axis])[slice(start, None if step < 0 and end < -(2**31) else end, step)]
        result = result.index_select(axis, torch.as_tensor(list(places), device=result.device))
    return result


def _reshape(x: list[Tensor], a: Attributes) -> Tensor:
    shape = [x[0].shape[axis] if size == 0 else size for axis, size in enumerate(x[1].tolist())]
    return x[0].reshape(shape)


def _flatten(x: list[Tensor], a: Attributes) -> Tensor:
    axis = a.get("axis", 1)
    return x[0].flatten(axis) if axis == 1 else x[0].reshape(x[0].shape[:axis].numel(), -1)


def _squeeze(x: list[Tensor], a: Attributes) -> Tensor:
    return torch.squeeze(x[0], x[1].tolist()) if len(x) > 1 else torch.squeeze(x[0])


def _unsqueeze(x: list[Tensor], a: Attributes) -> Tensor:
    result = x[0]
    rank = result.dim() + x[1].numel()
    for axis in sorted(each % rank for each in x[1].tolist()):
        result = result.unsqueeze(axis)
    return result


def _gather(x: list[Tensor], a: Attributes) -> Tensor:
    axis = a.get("axis", 0) % x[0].dim()
    places = torch.remainder(x[1].long(), x[0].shape[axis]).to(x[0].device)
    shape = (*x[0].shape[:axis], *places.shape, *x[0].shape[axis + 1 :])
    return x[0].index_select(axis, places.reshape(-1)).reshape(shape)


def _pad(x: list[Tensor], a: Attributes) -> Tensor:
    if a.get("mode", "constant") != "constant" or (len(x) > 3 and x[3] is not None):
        raise UnsupportedModel(f"a Pad of mode {a.get('mode')} cannot be trained")
    pads = x[1].tolist()
    axes = len(pads) // 2
    pairs = [pads[axis + end] for axis in reversed(range(axes)) for end in (0, axes)]
    return functional.pad(x[0], pairs, value=x[2].item() if len(x) > 2 and x[2] is not None else 0.0)


def _cast(x: list[Tensor], a: Attributes) -> Tensor:
    wanted = TYPES[a["to"]]
    # A float stays in the precision of the run: tests compute in float64.
    return x[0] if x[0].is_floating_point() and wanted.is_floating_point else x[0].to(wanted)


def _depth_to_space(x: list[Tensor], a: Attributes) -> Tensor:
    n, c, h, w = x[0].shape
    b = a["blocksize"]
    if a.get("mode", "DCR") == "DCR":
        return x[0].reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)
    return x[0].reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b)


def _space_to_depth(x: list[Tensor], a: Attributes) -> Tensor:
    n, c, h, w = x[0].shape
    b = a["blocksize"]
    return x[0].reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def _prelu(x: list[Tensor], a: Attributes) -> Tensor:
    return torch.where(x[0] < 0, x[0] * x[1], x[0])


def _hard_sigmoid(x: list[Tensor], a: Attributes) -> Tensor:
    return torch.clamp(x[0] * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1)


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda x, a: function(x[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda x, a: function(x[0], x[1])


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def run(x: list[Tensor], a: Attributes) -> Tensor:
        result = x[0]
        for each in x[1:]:
            result = function(result, each)
        return result

    return run


OPERATORS: dict[str, Operator] = {
    "Conv": windows.conv, "ConvTranspose": windows.conv_transpose, "MaxPool": windows.max_pool,
    "AveragePool": windows.average_pool, "Resize": windows.resize, "Gemm": _gemm, "MatMul": _binary(torch.matmul),
    "BatchNormalization": _batch_normalization, "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization, "Softmax": _softmax,
    "LogSoftmax": lambda x, a: torch.log_softmax(x[0], a.get("axis", -1)),
    "GlobalAveragePool": lambda x, a: x[0].mean(dim=list(range(2, x[0].dim())), keepdim=True),
    "GlobalMaxPool": lambda x, a: x[0].amax(dim=list(range(2, x[0].dim())), keepdim=True),
    "ReduceMean": _reduce(torch.mean), "ReduceSum": _reduce(torch.sum), "ReduceMax": _reduce(torch.amax),
    "ReduceMin": _reduce(torch.amin), "ReduceL2": _reduce(_reduce_l2),
    "Clip": _clip, "PRelu": _prelu, "HardSigmoid": _hard_sigmoid, "Relu": _unary(torch.relu),
    "HardSwish": lambda x, a: x[0] * torch.clamp(x[0] / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x, a: functional.leaky_relu(x[0], a.get("alpha", 0.01)),
    "Elu": lambda x, a: functional.elu(x[0], a.get("alpha", 1.0)),
    "Gelu": lambda x, a: functional.gelu(x[0], approximate=a.get("approximate", "none")),
    "Sigmoid": _unary(torch.sigmoid), "Tanh": _unary(torch.tanh), "Softplus": _unary(functional.softplus),
    "Mish": _unary(functional.mish), "Erf": _unary(torch.erf), "Exp": _unary(torch.exp), "Log": _unary(torch.log),
    "Sqrt": _unary(torch.sqrt), "Abs": _unary(torch.abs), "Neg": _unary(torch.neg), "Sin": _unary(torch.sin),
    "Cos": _unary(torch.cos), "Reciprocal": _unary(torch.reciprocal), "Floor": _unary(torch.floor),
    "Identity": _unary(lambda x: x), "Dropout": _unary(lambda x: x), "Cast": _cast,
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul), "Div": _binary(torch.div),
    "Pow": _binary(torch.pow), "Max": _variadic(torch.maximum), "Min": _variadic(torch.minimum),
    "Sum": _variadic(torch.add), "Concat": lambda x, a: torch.cat(x, a["axis"]), "Split": _split, "Slice": _slice,
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Transpose": lambda x, a: x[0].permute(a.get("perm", tuple(reversed(range(x[0].dim()))))),
    "Expand": lambda x, a: x[0].expand(torch.broadcast_shapes(x[0].shape, tuple(x[1].tolist()))),
    "Tile": lambda x, a: x[0].repeat(x[1].tolist()), "Gather": _gather, "Pad": _pad,
    "Where": lambda x, a: torch.where(x[0], x[1], x[2]), "Greater": _binary(torch.gt), "Less": _binary(torch.lt),
    "Equal": _binary(torch.eq), "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
}  # fmt: skip
"""Every operator that recovery knows, but for QuantizeLinear and DequantizeLinear: those are `edgec.recovery.steps`."""
