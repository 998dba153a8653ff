"""Merges a Pad into the Conv, MaxPool or AveragePool that reads it."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgec.model.edit import erase
from edgec.model.graph import attribute, constant, label, scalar
from edgec.passes.canonicalize.operands import clip_bounds, is_float, own_producer, rank_of
from edgec.passes.canonicalize.rule import Outcome, Refused, rule

NOT_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Sqrt")


@rule("Conv", "MaxPool", "AveragePool")
def merge_pad(node: ir.Node) -> Outcome:
    """Before: Conv(Pad(x)), MaxPool(Pad(x)), AveragePool(Pad(x)). After: the Pad's widths added to `pads`.

    * Conv pads with 0, so the value must be 0.
    * MaxPool pads with -infinity: the value must be that, or 0 if x is never negative.
    * AveragePool: the value must be 0, and counts as an element: this is legal if the pool has no padding itself or
      counts it already; afterwards it counts padding. Exact in all cases.
    """
    pad = own_producer(node.inputs[0], "Pad")
    if pad is None:
        return None
    pads = _pads_by_axis(pad)
    reason = "its widths are computed or negative" if pads is None else _illegal(node, pad, pads)
    if reason is not None or pads is None:
        return Refused(f"{label(pad)} not merged into it: {reason}")
    rank = len(pads) // 2
    added = pads[2:rank] + pads[rank + 2 :]
    before = attribute(node, "pads") or (0,) * len(added)
    done = f"{label(node)}: {label(pad)} merged into its padding"
    node.attributes.add(ir.AttrInt64s("pads", [old + new for old, new in zip(before, added, strict=True)]))
    if node.op_type == "AveragePool":
        node.attributes.add(ir.AttrInt64("count_include_pad", 1))
    node.replace_input_with(0, pad.inputs[0])
    erase(pad)
    return done


def _pads_by_axis(pad: ir.Node) -> list[int] | None:
    """Return the widths before all axes, then after all axes, or None if they are unknown or negative."""
    rank = rank_of(pad.inputs[0])
    widths = constant(pad.inputs[1])
    axes_value = pad.inputs[3] if len(pad.inputs) > 3 else None
    axes = constant(axes_value)
    if rank is None or widths is None or (axes_value is not None and axes is None) or (widths < 0).any():
        return None
    full = np.zeros((2, rank), np.int64)
    full[:, np.arange(rank) if axes is None else axes] = widths.reshape(2, -1)
    return [int(width) for width in full.reshape(-1)]


def _illegal(node: ir.Node, pad: ir.Node, pads: list[int]) -> str | None:
    """Return the reason why the Pad must stay, or None."""
    rank = len(pads) // 2
    if attribute(pad, "mode", "constant") != "constant":
        return f"its mode is {attribute(pad, 'mode')}"
    if any(pads[:2] + pads[rank : rank + 2]):
        return "it pads batch or channels"
    if attribute(node, "auto_pad", "NOTSET") != "NOTSET":
        return f"{label(node)} pads by itself ({attribute(node, 'auto_pad')})"
    value_input = pad.inputs[2] if len(pad.inputs) > 2 else None
    value = 0.0 if value_input is None else scalar(value_input)
    if value is None:
        return "its value is computed"
    if node.op_type == "Conv":
        return None if value == 0 else f"it pads with {value:g}, but Conv with 0"
    return _illegal_for_pool(node, pad, pads, value)


def _illegal_for_pool(node: ir.Node, pad: ir.Node, pads: list[int], value: float) -> str | None:
    rank = len(pads) // 2
    kernel = attribute(node, "kernel_shape")
    old = attribute(node, "pads") or (0,) * (2 * len(kernel))
    added = pads[2:rank] + pads[rank + 2 :]
    too_wide = any(a + b >= width for a, b, width in zip(old, added, (*kernel, *kernel), strict=True))
    dilated = any(dilation != 1 for dilation in attribute(node, "dilations") or ())
    if attribute(node, "ceil_mode", 0):
        return "windows of a pool with ceil_mode would move"
    if too_wide or dilated:
        return "a window could lie in the padding alone"
    return _average_refusal(node, old, value) if node.op_type == "AveragePool" else _max_refusal(node, pad, value)


def _average_refusal(node: ir.Node, old: Sequence[int], value: float) -> str | None:
    if value != 0:
        return f"it pads with {value:g}, but AveragePool with 0"
    if any(old) and not attribute(node, "count_include_pad", 0):
        return f"{label(node)} also pads and does not count its padding"
    return None


def _max_refusal(node: ir.Node, pad: ir.Node, value: float) -> str | None:
    if len(node.outputs) > 1 and node.outputs[1].uses():
        return "the indices of the maxima are used"
    x = pad.inputs[0]
    lowest = -np.inf
    if x is not None and x.dtype is not None and is_float(x):
        lowest = float(ml_dtypes.finfo(x.dtype.numpy()).min)  # type: ignore[no-untyped-call]
    if value <= lowest or (value == 0 and _never_negative(x)):
        return None
    return f"it pads with {value:g}, but MaxPool with -infinity"


def _never_negative(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    if producer is None or producer.domain != "":
        return False
    if producer.op_type == "Clip":
        bounds = clip_bounds(producer)
        return bounds is not None and bounds[0] >= 0
    return producer.op_type in NOT_NEGATIVE
