"""Spell out kernel, strides, dilations, pads and groups of Conv, ConvTranspose and pooling nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from edgec.model.graph import attribute, label
from edgec.passes.canonicalize.operands import static_shape
from edgec.passes.canonicalize.rule import Outcome, Refused, rule

WINDOWED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
WITH_DILATIONS = ("Conv", "ConvTranspose", "MaxPool")


@rule(*WINDOWED)
def explicit_windows(node: ir.Node) -> Outcome:
    """Before: `auto_pad`, `output_shape`, or attributes left to their defaults. After: all of them written out.

    Exact; later steps need no defaults. The odd element of padding comes last with SAME_UPPER, else first (ONNX
    operator reference).
    """
    wanted = _spelled_out(node)
    if wanted is None:
        return Refused("its shapes are unknown")
    missing, superfluous = _missing(node, wanted), _superfluous(node)
    if not missing and not superfluous:
        return None
    for name in superfluous:
        node.attributes.pop(name)
    for name in missing:
        value = wanted[name]
        node.attributes.add(ir.AttrInt64(name, value) if isinstance(value, int) else ir.AttrInt64s(name, value))
    return f"{label(node)}: {', '.join([*missing, *superfluous])} made explicit"


def left_implicit(node: ir.Node) -> int:
    """Return how many attributes of `node`, one of `WINDOWED`, are not written out yet, or say what others say."""
    wanted = _spelled_out(node)
    return 0 if wanted is None else len(_missing(node, wanted)) + len(_superfluous(node))


def _missing(node: ir.Node, wanted: Mapping[str, tuple[int, ...] | int]) -> list[str]:
    return [name for name, value in wanted.items() if attribute(node, name) != value]


def _superfluous(node: ir.Node) -> list[str]:
    return [name for name in ("auto_pad", "output_shape") if name in node.attributes]


def _spelled_out(node: ir.Node) -> dict[str, tuple[int, ...] | int] | None:
    """Return the attributes that `node` has in full, or None where its shapes are unknown."""
    x, y = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    kernel = _kernel(node)
    if x is None or y is None or kernel is None:
        return None
    rank = len(kernel)
    ones = (1,) * rank
    pads, extra = _pads(node, x[2:], y[2:], kernel), attribute(node, "output_padding") or (0,) * rank
    if "output_shape" in node.attributes:
        # More than the kernel reaches: negative padding, which is written as output padding.
        short = [min(first + last, 0) for first, last in zip(pads[:rank], pads[rank:], strict=True)]
        extra = tuple(more - less for more, less in zip(extra, short, strict=True))
        pads = tuple(0 if less else pad for pad, less in zip(pads, short * 2, strict=True))
    wanted: dict[str, tuple[int, ...] | int] = {
        "kernel_shape": kernel,
        "strides": attribute(node, "strides") or ones,
        "pads": pads,
    }
    if node.op_type in WITH_DILATIONS:
        wanted["dilations"] = attribute(node, "dilations") or ones
    if node.op_type.startswith("Conv"):
        wanted["group"] = attribute(node, "group", 1)
    if node.op_type == "ConvTranspose":
        wanted["output_padding"] = extra
    return wanted


def _kernel(node: ir.Node) -> tuple[int, ...] | None:
    kernel = attribute(node, "kernel_shape")
    if kernel is not None:
        return tuple(kernel)
    weights = static_shape(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if weights is None else weights[2:]


def _pads(node: ir.Node, x: Sequence[int], y: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    auto_pad = attribute(node, "auto_pad", "NOTSET")
    computed = auto_pad in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in node.attributes
    if not computed:
        written = attribute(node, "pads")
        return tuple(written) if written and auto_pad == "NOTSET" else (0,) * (2 * len(kernel))
    ones = (1,) * len(kernel)
    strides, dilations = attribute(node, "strides") or ones, attribute(node, "dilations") or ones
    extra = attribute(node, "output_padding") or (0,) * len(kernel)
    totals = []
    for i, width in enumerate(kernel):
        extent = (width - 1) * dilations[i] + 1
        if node.op_type == "ConvTranspose":
            totals.append(strides[i] * (x[i] - 1) + extra[i] + extent - y[i])
        else:
            totals.append(max((y[i] - 1) * strides[i] + extent - x[i], 0))
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*small, *large) if auto_pad == "SAME_UPPER" else (*large, *small)
