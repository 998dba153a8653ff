"""Folds a per-channel scale and shift into the weights of the linear layer before or after it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of
from edgec.model.graph import Array, add_constant, attribute, constant

OVERFLOW = "the folded weights or bias would overflow"


def channel_axis(node: ir.Node) -> int:
    """Return the axis of the output of a `LINEAR` node along which its filters lie: 1, or -1 for matrix products."""
    return -1 if node.op_type in ("Gemm", "MatMul") else 1


def fold_into_producer(node: ir.Node, scale: Array | None, shift: Array | None) -> str | None:
    """Make `node` compute scale * y + shift instead of y.

    W' = W * scale along the filters, b' = b * scale + shift; computed in float64, stored in the weights' dtype.
    A weight that other nodes also read is copied, so that they are not affected.

    Args:
        node: A `LINEAR` node, all of whose readers need the new value.
        scale: [channels] or None for 1. `channels` is the length of the output's `channel_axis`.
        shift: [channels] or None for 0.

    Returns:
        None if it was done, else the reason why not; the graph is then unchanged.
    """
    weights, bias = constant(_input(node, 1)), constant(_input(node, 2))
    dtype = weights.dtype if weights is not None else _dtype(node)
    reason = _producer_refusal(node, scale, shift, dtype)
    if reason is not None or dtype is None:
        return reason
    new_weights = None if scale is None or weights is None else _scaled_filters(node, weights, scale)
    new_bias = _new_bias(node, bias, scale, shift)
    if not (_fits(new_weights, dtype) and _fits(new_bias, dtype)):
        return OVERFLOW
    if new_weights is not None:
        replace_constant(node, 1, new_weights.astype(dtype))
    if new_bias is not None:
        set_bias(node, new_bias.astype(dtype))
    return None


def fold_into_consumers(value: ir.Value, scale: Array, shift: Array) -> str | None:
    """Make the Convs that read `value` compute the same as if they read scale * value + shift: all or none of them.

    W'[m, c] = W[m, c] * scale[c], b'[m] = b[m] + sum over c and the kernel of W[m, c] * shift[c]. Padding adds zeros
    after the shift, not before, so a shift is possible only without padding.

    Args:
        value: Value that only Convs read, as their first input.
        scale: [channels].
        shift: [channels].

    Returns:
        None if it was done, else the reason why not; the graph is then unchanged.
    """
    nodes = [use.node for use in value.uses()]
    folded = [_folded_consumer(node, scale, shift) for node in nodes]
    for result in folded:
        if isinstance(result, str):
            return result
    for node, result in zip(nodes, folded, strict=True):
        if isinstance(result, str):
            continue
        weights, bias = result
        replace_constant(node, 1, weights)
        if bias is not None:
            set_bias(node, bias)
    return None


def replace_constant(node: ir.Node, index: int, array: Array) -> None:
    """Give `node` the constant `array` as input `index`; a constant that only it reads is replaced in place."""
    old = node.inputs[index]
    if old is None:
        raise ValueError(f"node {node.name!r} has no input {index}")
    if old.is_initializer() and len(old.uses()) == 1 and not old.is_graph_output():
        old.const_value = ir.tensor(np.ascontiguousarray(array), name=old.name)
        old.shape, old.dtype = ir.Shape(array.shape), old.const_value.dtype
        return
    stem = old.name or f"{node.name}_constant"
    node.replace_input_with(index, add_constant(graph_of(node), stem, array))


def set_bias(node: ir.Node, bias: Array) -> None:
    """Set the bias of a Conv, ConvTranspose or Gemm, its third input, whether it had one or not."""
    node.attributes.pop("beta", None)
    if _input(node, 2) is not None:
        replace_constant(node, 2, bias)
        return
    node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph_of(node), f"{node.outputs[0].name}_bias", bias))


def _producer_refusal(
    node: ir.Node, scale: Array | None, shift: Array | None, dtype: np.dtype[Any] | None
) -> str | None:
    weights = constant(_input(node, 1))
    if _input(node, 2) is not None and constant(_input(node, 2)) is None:
        return "its bias is not constant"
    if node.op_type == "MatMul" and shift is not None:
        return "a MatMul has no bias that could take the shift"
    if scale is not None and (weights is None or weights.ndim < 2):
        return "its weights are not constant"
    if dtype is None or dtype.kind != "f":
        return f"its weights are {dtype}, not float16, float32 or float64"
    return None


def _folded_consumer(node: ir.Node, scale: Array, shift: Array) -> tuple[Array, Array | None] | str:
    """Return new weights and bias (None: unchanged) of a Conv, in their dtypes, or the reason why not."""
    weights, bias = constant(_input(node, 1)), constant(_input(node, 2))
    reason = _consumer_refusal(node, shift)
    if reason is not None or weights is None:
        return reason or "the weights of the Conv after it are not constant"
    group = attribute(node, "group", 1)
    filters, per_group = weights.shape[:2]
    grouped = weights.astype(np.float64).reshape(group, filters // group, per_group, -1)
    new_weights = (grouped * scale.reshape(group, 1, per_group, 1)).reshape(weights.shape)
    new_bias = (grouped * shift.reshape(group, 1, per_group, 1)).sum(axis=(2, 3)).reshape(filters)
    if bias is not None:
        new_bias = new_bias + bias
    if not (_fits(new_weights, weights.dtype) and _fits(new_bias, weights.dtype)):
        return OVERFLOW
    return new_weights.astype(weights.dtype), new_bias.astype(weights.dtype) if shift.any() else None


def _consumer_refusal(node: ir.Node, shift: Array) -> str | None:
    if node.op_type != "Conv":
        return f"the {node.op_type} after it cannot take scale and shift"
    if _input(node, 2) is not None and constant(_input(node, 2)) is None:
        return "the bias of the Conv after it is not constant"
    weights = constant(_input(node, 1))
    if weights is not None and weights.dtype.kind != "f":
        return f"the weights of the Conv after it are {weights.dtype}"
    padded = any(attribute(node, "pads", ())) or attribute(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    if padded and shift.any():
        return "the Conv after it pads, and its padding would have to be shifted too"
    return None


def _new_bias(node: ir.Node, bias: Array | None, scale: Array | None, shift: Array | None) -> Array | None:
    """Return the bias to store in float64, or None if it stays as it is (or absent)."""
    if shift is None and (bias is None or scale is None):
        return None
    wide = np.zeros(1) if bias is None else bias.astype(np.float64) * attribute(node, "beta", 1.0)
    scaled = wide if scale is None else wide * scale
    return np.asarray(scaled if shift is None else scaled + shift)


def _scaled_filters(node: ir.Node, weights: Array, scale: Array) -> Array:
    """Return `weights` in float64 with filter i multiplied by scale[i]."""
    wide = weights.astype(np.float64)
    if node.op_type == "Conv":
        return wide * scale.reshape(-1, *[1] * (wide.ndim - 1))
    if node.op_type == "MatMul":
        return wide * scale
    if node.op_type == "Gemm":
        return wide * (scale[:, None] if attribute(node, "transB", 0) else scale)
    # ConvTranspose: weights are [in, out / group, ...], and group g of the inputs feeds group g of the outputs.
    group = attribute(node, "group", 1)
    per_group = wide.shape[1]
    grouped = wide.reshape(group, wide.shape[0] // group, per_group, -1)
    return (grouped * scale.reshape(group, 1, per_group, 1)).reshape(wide.shape)


def _fits(array: Array | None, dtype: np.dtype[Any]) -> bool:
    """Return whether every element is finite and within the range of `dtype`."""
    largest = ml_dtypes.finfo(dtype).max  # type: ignore[no-untyped-call]
    return array is None or bool((np.abs(array) <= largest).all())


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if len(node.inputs) > index else None


def _dtype(node: ir.Node) -> np.dtype[Any] | None:
    dtype = node.outputs[0].dtype
    return None if dtype is None else dtype.numpy()
