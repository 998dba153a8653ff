"""Activations of recurrent layers, as ONNX names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

from edgec.targets.tvm import intrinsics
from edgec.targets.tvm.recurrence import Activation
from edgec.targets.tvm.regions.elementwise import clip, leaky_relu
from edgec.targets.tvm.schedules.common.kernel import f32

ACTIVATIONS: dict[str, Callable[[Any, Activation], Any]] = {
    "Affine": lambda x, a: f32(a.alpha) * x + f32(a.beta),
    "Elu": lambda x, a: tirx.Select(x >= f32(0.0), x, f32(a.alpha) * (intrinsics.exp(x) - f32(1.0))),
    "HardSigmoid": lambda x, a: clip(f32(a.alpha) * x + f32(a.beta), 0.0, 1.0),
    "LeakyRelu": lambda x, a: leaky_relu(x, a.alpha),
    "Relu": lambda x, _: te.max(x, f32(0.0)),
    "ScaledTanh": lambda x, a: f32(a.alpha) * intrinsics.tanh(f32(a.beta) * x),
    "Sigmoid": lambda x, _: intrinsics.sigmoid(x),
    # Beyond 20, adding e**-x to 1 has no effect.
    "Softplus": lambda x, _: (
        te.max(x, f32(0.0)) + intrinsics.log(f32(1.0) + intrinsics.exp(f32(0.0) - te.max(x, f32(0.0) - x)))
    ),
    "Softsign": lambda x, _: x / (f32(1.0) + te.max(x, f32(0.0) - x)),
    "Tanh": lambda x, _: intrinsics.tanh(x),
    "ThresholdedRelu": lambda x, a: tirx.Select(x >= f32(a.alpha), x, f32(0.0)),
}
