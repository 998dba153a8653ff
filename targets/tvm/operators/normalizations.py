"""Normalizations by stored statistics, or by statistics of the value itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from tvm import relax, topi

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, cast, like, tensor

FLOAT = 1
"""`TensorProto.FLOAT`, the default of `stash_type`."""


def _batch_normalization(n: OnnxNode) -> list[Expr]:
    """BatchNormalization; training mode uses the statistics of the batch and also returns the running statistics."""
    kind = n.dtype(0)
    work = "float32" if kind in ("float16", "bfloat16") else kind
    x = cast(n[0], work)
    shape = (1, -1, *[1] * (n.rank(0) - 2)) if n.rank(0) > 1 else (-1,)
    scale, bias, mean, variance = (relax.op.reshape(cast(n[index], work), shape) for index in range(1, 5))
    running = []
    if n.attribute("training_mode", 0):
        axes = [axis for axis in range(n.rank(0)) if axis != 1]
        kept, momentum = (mean, variance), n.attribute("momentum", 0.9)
        mean = n.emit(relax.op.mean(x, axes, keepdims=True))
        difference = relax.op.subtract(x, mean)
        variance = n.emit(relax.op.mean(relax.op.multiply(difference, difference), axes, keepdims=True))
        for index, (old, new) in enumerate(zip(kept, (mean, variance), strict=True), 3):
            parts = relax.op.multiply(like(momentum, x), old), relax.op.multiply(like(1 - momentum, x), new)
            running.append(cast(n.emit(relax.op.reshape(relax.op.add(*parts), n.shape(index))), n.dtype(index)))
    deviation = relax.op.sqrt(relax.op.add(variance, like(n.attribute("epsilon", 1e-5), x)))
    factor = n.emit(relax.op.divide(scale, deviation))
    shifted = relax.op.subtract(bias, relax.op.multiply(mean, factor))
    result = n.emit(relax.op.add(relax.op.multiply(x, factor), shifted))
    return [cast(result, kind), *running]


def _layer_normalization(n: OnnxNode) -> list[Expr]:
    """LayerNormalization over the axes from `axis` on; fp16 is computed in fp32."""
    axes, work = list(range(n.axis(-1), n.rank(0))), _work(n)
    epsilon, shape = n.attribute("epsilon", 1e-5), n.shape(0)
    x, kept = cast(n[0], work), tuple(shape[axis] for axis in axes)
    parameters = [cast(n[1], work), cast(n[2], work) if n.has(2) else None]
    if n.is_used(1) or n.is_used(2) or n.shape(1) != kept or (n.has(2) and n.shape(2) != kept):
        normalized, mean, inverse = _normalized(n, n.emit(x), axes, epsilon)
        scaled = relax.op.multiply(normalized, parameters[0])
        result = scaled if parameters[1] is None else relax.op.add(scaled, parameters[1])
        return [cast(n.emit(result), n.dtype(0)), mean, inverse]
    bias = tensor(np.zeros(kept), work) if parameters[1] is None else parameters[1]
    result = n.emit(relax.op.nn.layer_norm(x, parameters[0], bias, axes, epsilon))
    return [cast(result, n.dtype(0))]


def _work(n: OnnxNode) -> str:
    """Return the type that a normalization computes in."""
    return "float32" if n.attribute("stash_type", FLOAT) == FLOAT and n.dtype(0) != "float64" else n.dtype(0)


def _normalized(n: OnnxNode, x: Expr, axes: Sequence[int], epsilon: float) -> tuple[Expr, Expr, Expr]:
    """Return `x` normalized to mean 0 and variance 1 over `axes`, the mean, and 1 / standard deviation."""
    mean = n.emit(relax.op.mean(x, list(axes), keepdims=True))
    difference = n.emit(relax.op.subtract(x, mean))
    variance = relax.op.mean(relax.op.multiply(difference, difference), list(axes), keepdims=True)
    root = relax.op.sqrt(relax.op.add(variance, like(epsilon, x)))
    inverse = n.emit(relax.op.divide(like(1, x), root))
    return n.emit(relax.op.multiply(difference, inverse)), mean, inverse


def _instance_normalization(n: OnnxNode) -> Expr:
    work = "float32" if n.dtype(0) in ("float16", "bfloat16") else n.dtype(0)
    x = n.emit(cast(n[0], work))
    normalized, _, _ = _normalized(n, x, range(2, n.rank(0)), n.attribute("epsilon", 1e-5))
    return cast(n.emit(_by_channel(n, normalized, n[1], n[2], work)), n.dtype(0))


def _by_channel(n: OnnxNode, x: Expr, scale: Expr, bias: Expr, kind: str) -> Expr:
    shape = (1, -1, *[1] * (n.rank(0) - 2))
    scale, bias = (relax.op.reshape(cast(each, kind), shape) for each in (scale, bias))
    return relax.op.add(relax.op.multiply(x, scale), bias)


def _group_normalization(n: OnnxNode) -> Expr:
    """GroupNormalization; scale and bias are per group before opset 21, per channel since then."""
    work, groups, shape = _work(n), n.attribute("num_groups"), n.shape(0)
    x = relax.op.reshape(cast(n[0], work), (shape[0], groups, -1))
    normalized, _, _ = _normalized(n, n.emit(x), [2], n.attribute("epsilon", 1e-5))
    if n.shape(1) == (groups,) and groups != shape[1]:
        by_group = (relax.op.reshape(cast(n[index], work), (1, groups, 1)) for index in (1, 2))
        result = relax.op.reshape(relax.op.add(relax.op.multiply(normalized, next(by_group)), next(by_group)), shape)
    else:
        result = _by_channel(n, relax.op.reshape(normalized, shape), n[1], n[2], work)
    return cast(n.emit(result), n.dtype(0))


def _rms_normalization(n: OnnxNode) -> Expr:
    """RMSNormalization: x / the root of its mean square over the axes from `axis` on."""
    axes, work = list(range(n.axis(-1), n.rank(0))), _work(n)
    x = n.emit(cast(n[0], work))
    mean = relax.op.mean(relax.op.multiply(x, x), axes, keepdims=True)
    root = relax.op.sqrt(relax.op.add(mean, like(n.attribute("epsilon", 1e-5), x)))
    normalized = cast(n.emit(relax.op.divide(x, root)), n.dtype(0))
    return relax.op.multiply(normalized, n[1])


def _mean_variance_normalization(n: OnnxNode) -> Expr:
    """MeanVarianceNormalization: ONNX adds 1e-9 to the deviation, not to the variance."""
    x, axes = n[0], list(n.attribute("axes", (0, 2, 3)))
    mean = n.emit(relax.op.mean(x, axes, keepdims=True))
    difference = n.emit(relax.op.subtract(x, mean))
    variance = relax.op.mean(relax.op.multiply(difference, difference), axes, keepdims=True)
    return relax.op.divide(difference, relax.op.add(relax.op.sqrt(variance), like(1e-9, x)))


def _lp_normalization(n: OnnxNode) -> Expr:
    """LpNormalization along one axis; vectors of zeros remain zero."""
    x, axis, order = n[0], n.axis(-1), n.attribute("p", 2)
    size = relax.op.abs(x) if order == 1 else relax.op.multiply(x, x)
    total = relax.op.sum(size, [axis], keepdims=True)
    norm = n.emit(total if order == 1 else relax.op.sqrt(total))
    safe = relax.op.where(relax.op.equal(norm, like(0, x)), like(1, x), norm)
    return relax.op.divide(x, safe)


def _local_response(n: OnnxNode) -> Expr:
    """LRN: x / (bias + alpha / size * sum of squares of the neighbouring channels) ** beta."""
    x, size, shape = n[0], n.attribute("size"), n.shape(0)
    if n.rank(0) < 3:
        raise Refused(f"on {n.rank(0)} axes")
    picture = relax.op.reshape(x, (shape[0], shape[1], 1, math.prod(shape[2:])))
    if n.dtype(0) != "float32":
        raise Refused(f"on {n.dtype(0)}")
    attributes = (n.attribute("alpha", 1e-4), n.attribute("beta", 0.75), n.attribute("bias", 1.0))
    result = n.compute(lambda data: topi.nn.lrn(data, size, 1, *attributes), n.emit(picture), name="lrn")
    return relax.op.reshape(result, shape)


CONVERTERS: dict[str, Converter] = {
    "BatchNormalization": _batch_normalization,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LRN": _local_response,
    "LayerNormalization": _layer_normalization,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "RMSNormalization": _rms_normalization,
}
