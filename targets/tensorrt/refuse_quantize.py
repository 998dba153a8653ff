"""Refuses QuantizeLinear and DequantizeLinear nodes that TensorRT's parser rejects or reads wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant
from edgec.targets.tensorrt.limits import Limits


def refuse_quantize(node: ir.Node, limits: Limits) -> str | None:
    """Return the reason why the QuantizeLinear or DequantizeLinear `node` is rejected or read wrongly, or None."""
    scale = constant(node.inputs[1])
    if scale is None:
        return "its scale must be constant"
    if not (scale > 0).all():
        return "every scale must be positive"
    if scale.size > 1 and "axis" not in node.attributes:
        return "without an axis the parser uses axis 0, but ONNX means 1"
    if scale.size > 1 and not _is_weight(node):
        return "per-channel scales are supported for weights only"
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if zero is None:
        return None if limits.has_int64 else "it has no zero point"
    return _refuse_zero_point(constant(zero), scale.size)


def _is_weight(node: ir.Node) -> bool:
    source = node.inputs[0]
    producer = source.producer() if source is not None else None
    if producer is not None and producer.op_type == "QuantizeLinear":
        source = producer.inputs[0]
    return constant(source) is not None


def _refuse_zero_point(values: np.ndarray[Any, Any] | None, scales: int) -> str | None:
    if values is None:
        return "its zero point must be constant"
    if values.size != scales:
        return f"{values.size} zero points for {scales} scales"
    if values.any():
        return f"zero point {values[values != 0].reshape(-1)[0]}: TensorRT supports symmetric quantization only"
    if values.dtype == np.uint8:
        return "a uint8 zero point is read as int8, so values above 127 would saturate"
    return None
