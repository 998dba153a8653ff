"""Activation functions, and softmax in its forms."""

from __future__ import annotations

import numpy as np
from tvm import relax

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, is_float, like

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""Defaults of Selu (ONNX operator reference)."""


def _relu(n: OnnxNode) -> Expr:
    return relax.op.nn.relu(n[0]) if is_float(n.dtype(0)) else relax.op.maximum(n[0], like(0, n[0]))


def _leaky_relu(n: OnnxNode) -> Expr:
    return relax.op.nn.leakyrelu(n[0], n.attribute("alpha", 0.01))


def _prelu(n: OnnxNode) -> Expr:
    """PRelu: `x` where it is positive, elsewhere its product with the slope, which broadcasts to `x`."""
    x, slope, rank = n[0], n[1], n.rank(0)
    own = [axis for axis, size in enumerate(n.shape(1), rank - n.rank(1)) if size != 1]
    if rank and len(own) <= 1 and is_float(n.dtype(0)):
        return relax.op.nn.prelu(x, relax.op.reshape(slope, (-1,)), own[0] if own else rank - 1)
    return relax.op.where(relax.op.less(x, like(0, x)), relax.op.multiply(x, slope), x)


def _exponential(x: Expr, alpha: float, scale: float = 1.0) -> Expr:
    """Return alpha * (e**(x / scale) - 1) where `x` is negative, `x` elsewhere; the unused part does not overflow."""
    low = relax.op.minimum(x, like(0, x))
    power = relax.op.exp(low if scale == 1 else relax.op.divide(low, like(scale, x)))
    negative = relax.op.multiply(like(alpha, x), relax.op.subtract(power, like(1, x)))
    return relax.op.add(relax.op.maximum(x, like(0, x)), negative)


def _elu(n: OnnxNode) -> Expr:
    return _exponential(n[0], n.attribute("alpha", 1.0))


def _celu(n: OnnxNode) -> Expr:
    alpha = n.attribute("alpha", 1.0)
    return _exponential(n[0], alpha, alpha)


def _selu(n: OnnxNode) -> Expr:
    gamma = like(n.attribute("gamma", SELU_GAMMA), n[0])
    return relax.op.multiply(gamma, _exponential(n[0], n.attribute("alpha", SELU_ALPHA)))


def _gelu(n: OnnxNode) -> Expr:
    tanh = n.attribute("approximate", "none") == "tanh"
    return relax.op.nn.gelu_tanh(n[0]) if tanh else relax.op.nn.gelu(n[0])


def _hard_sigmoid(n: OnnxNode) -> Expr:
    return hard_sigmoid(n[0], n.attribute("alpha", 0.2), n.attribute("beta", 0.5))


def hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    """Return alpha * x + beta, clipped to [0, 1]."""
    return relax.op.clip(relax.op.add(relax.op.multiply(like(alpha, x), x), like(beta, x)), 0, 1)


def _hard_swish(n: OnnxNode) -> Expr:
    x = n[0]
    sixth = relax.op.divide(relax.op.clip(relax.op.add(x, like(3, x)), 0, 6), like(6, x))
    return relax.op.multiply(x, sixth)


def _swish(n: OnnxNode) -> Expr:
    alpha = n.attribute("alpha", 1.0)
    inner = n[0] if alpha == 1 else relax.op.multiply(like(alpha, n[0]), n[0])
    return relax.op.multiply(n[0], relax.op.sigmoid(inner))


def softplus(x: Expr) -> Expr:
    """Return log(1 + e**x) as max(x, 0) + log(1 + e**-|x|), which does not overflow."""
    small = relax.op.exp(relax.op.negative(relax.op.abs(x)))
    return relax.op.add(relax.op.maximum(x, like(0, x)), relax.op.log(relax.op.add(like(1, x), small)))


def _mish(n: OnnxNode) -> Expr:
    return relax.op.multiply(n[0], relax.op.tanh(softplus(n[0])))


def _softsign(n: OnnxNode) -> Expr:
    return relax.op.divide(n[0], relax.op.add(like(1, n[0]), relax.op.abs(n[0])))


def _thresholded_relu(n: OnnxNode) -> Expr:
    x = n[0]
    return relax.op.where(relax.op.greater(x, like(n.attribute("alpha", 1.0), x)), x, like(0, x))


def _shrink(n: OnnxNode) -> Expr:
    x, lambd = n[0], n.attribute("lambd", 0.5)
    bias = like(n.attribute("bias", 0.0), x)
    above = relax.op.where(relax.op.greater(x, like(lambd, x)), relax.op.subtract(x, bias), like(0, x))
    return relax.op.where(relax.op.less(x, like(-lambd, x)), relax.op.add(x, bias), above)


def _softmax(n: OnnxNode) -> Expr:
    return relax.op.nn.softmax(n[0], n.axis(-1)) if n.rank(0) else like(1, n[0])


def _log_softmax(n: OnnxNode) -> Expr:
    return relax.op.nn.log_softmax(n[0], n.axis(-1)) if n.rank(0) else like(0, n[0])


def _hardmax(n: OnnxNode) -> Expr:
    """Hardmax: one at the first of the largest elements of the axis, zero elsewhere."""
    axis, shape = n.axis(-1), n.shape(0)
    first = n.emit(relax.op.argmax(n[0], axis, keepdims=True))
    at = np.arange(shape[axis]).reshape([-1 if each == axis else 1 for each in range(len(shape))])
    hit = relax.op.equal(first, like(at, first))
    return relax.op.where(hit, like(1, n[0]), like(0, n[0]))


CONVERTERS: dict[str, Converter] = {
    "Celu": _celu,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Hardmax": _hardmax,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "Mish": _mish,
    "PRelu": _prelu,
    "Relu": _relu,
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": lambda n: relax.op.sigmoid(n[0]),
    "Softmax": _softmax,
    "Softplus": lambda n: softplus(n[0]),
    "Softsign": _softsign,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
}
