"""Sliding windows: padding and output sizes, and corrections where ONNX's inference or runtimes get them wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.edit import insert_before
from edgec.model.graph import add_constant, attribute, label, opset

Sizes = tuple[int, ...]

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose"})
WEIGHTS = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
"""Which input holds the weights."""
PADS_AS_INPUT = 11
"""First operator set in which Pad takes its pads as an input."""


@dataclass(frozen=True)
class Windows:
    """Strides, padding and kernel extents of a node, one number per spatial axis; `sizes` are those of the output.

    Padding is never negative; rows of a transposed convolution beyond its kernel's extent are output padding.
    """

    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    before: Sizes
    after: Sizes
    output_padding: Sizes
    sizes: Sizes

    @property
    def reach(self) -> Sizes:
        """Extent of the dilated kernel."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True))


def windows_of(node: ir.Node) -> Windows | None:
    """Return the windows of a convolution or pool, from its attributes and input shape; None if they are unknown.

    According to ONNX's operator reference: with `SAME_UPPER` the odd element of padding comes last, with `SAME_LOWER`
    first; a window that would begin in the padding after the input is left out (`ceil_mode`).
    """
    x, kernel = _spatial(node.inputs[0]), _kernel(node)
    if x is None or kernel is None or len(x) != len(kernel):
        return None
    ones = (1,) * len(kernel)
    strides, dilations = attribute(node, "strides") or ones, attribute(node, "dilations") or ones
    reach = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    if node.op_type == "ConvTranspose":
        pads, extra, sizes = _transposed(node, x, strides, reach)
    else:
        extra = (0,) * len(kernel)
        pads, sizes = _forward(node, x, strides, reach)
    return Windows(kernel, strides, dilations, pads[0], pads[1], extra, sizes)


def _forward(node: ir.Node, x: Sizes, strides: Sizes, reach: Sizes) -> tuple[tuple[Sizes, Sizes], Sizes]:
    auto_pad = attribute(node, "auto_pad", "NOTSET")
    if auto_pad.startswith("SAME"):
        sizes = tuple(-(-size // step) for size, step in zip(x, strides, strict=True))
        totals = [max((y - 1) * s + r - size, 0) for y, s, r, size in zip(sizes, strides, reach, x, strict=True)]
        return _halves(totals, upper=auto_pad == "SAME_UPPER"), sizes
    before, after = pads = _written_pads(node, len(x))
    up = bool(attribute(node, "ceil_mode", 0))
    sizes = tuple(
        _count(size, first, last, step, r, up=up)
        for size, first, last, step, r in zip(x, before, after, strides, reach, strict=True)
    )
    return pads, sizes


def _count(size: int, before: int, after: int, step: int, reach: int, *, up: bool) -> int:
    """Return the number of windows along an axis; with `up` rounded up, except for one that begins after the input."""
    free = size + before + after - reach
    if not up:
        return free // step + 1
    count = -(-free // step) + 1
    return count - 1 if (count - 1) * step >= size + before else count


def _transposed(node: ir.Node, x: Sizes, strides: Sizes, reach: Sizes) -> tuple[tuple[Sizes, Sizes], Sizes, Sizes]:
    """Return pads, output padding and sizes of a transposed convolution."""
    auto_pad, extra = attribute(node, "auto_pad", "NOTSET"), attribute(node, "output_padding") or (0,) * len(x)
    whole = [s * (size - 1) + more + r for size, s, more, r in zip(x, strides, extra, reach, strict=True)]
    wanted = attribute(node, "output_shape")
    if wanted is None and auto_pad.startswith("SAME"):
        # As in ONNX Runtime and ONNX's inference: SAME only crops, and adds nothing beyond the kernel's extent.
        wanted = tuple(min(size * step, most) for size, step, most in zip(x, strides, whole, strict=True))
    if wanted is None:
        before, after = _written_pads(node, len(x))
        sizes = tuple(size - first - last for size, first, last in zip(whole, before, after, strict=True))
        return (before, after), extra, sizes
    sizes = tuple(wanted[-len(x) :])
    totals = [size - y for size, y in zip(whole, sizes, strict=True)]
    extra = tuple(more - min(total, 0) for more, total in zip(extra, totals, strict=True))
    return _halves([max(total, 0) for total in totals], upper=auto_pad == "SAME_UPPER"), extra, sizes


def _halves(totals: Sequence[int], *, upper: bool) -> tuple[Sizes, Sizes]:
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if upper else (large, small)


def _written_pads(node: ir.Node, rank: int) -> tuple[Sizes, Sizes]:
    pads = attribute(node, "pads") if attribute(node, "auto_pad", "NOTSET") == "NOTSET" else None
    pads = pads or (0,) * (2 * rank)
    return tuple(pads[:rank]), tuple(pads[rank:])


def _kernel(node: ir.Node) -> Sizes | None:
    kernel = attribute(node, "kernel_shape")
    return tuple(kernel) if kernel is not None else _spatial(node.inputs[1]) if len(node.inputs) > 1 else None


def _spatial(value: ir.Value | None) -> Sizes | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(int(size) for size in value.shape.numpy())[2:]


def check_kernels(graph: ir.Graph) -> None:
    """Compare the attribute `kernel_shape` of convolutions with the shape of their weights; ONNX infers by the former.

    Raises:
        BadModel: They differ; runtimes refuse such a node, or compute another shape than inferred.
    """
    for node in graph:
        kernel, at = attribute(node, "kernel_shape"), WEIGHTS.get(node.op_type)
        if kernel is None or at is None or node.domain not in ("", "ai.onnx") or len(node.inputs) <= at:
            continue
        weights = _spatial(node.inputs[at])
        if weights is not None and weights != tuple(kernel):
            raise BadModel(
                f"{node.op_type} node {label(node)!r}: the attribute kernel_shape is "
                f"{list(kernel)}, but the weights are {list(weights)}",
                remedy="Export the model again.",
            )


def write_out(node: ir.Node, windows: Windows) -> list[str]:
    """Write `windows` explicitly to `node` instead of `auto_pad` and `output_shape`; return the changed attributes."""
    missing, superfluous = unwritten(node, windows)
    for name, value in missing.items():
        node.attributes.add(ir.AttrInt64(name, value) if isinstance(value, int) else ir.AttrInt64s(name, value))
    for name in superfluous:
        node.attributes.pop(name)
    return [*missing, *superfluous]


def unwritten(node: ir.Node, windows: Windows) -> tuple[dict[str, Sizes | int], list[str]]:
    """Return the attributes of `windows` that `node` does not have yet, and the names of those they replace."""
    wanted: dict[str, Sizes | int] = {
        "kernel_shape": windows.kernel,
        "strides": windows.strides,
        "pads": (*windows.before, *windows.after),
    }
    if node.op_type not in ("AveragePool", "LpPool") or "dilations" in node.attributes:
        wanted["dilations"] = windows.dilations
    if node.op_type in CONVOLUTIONS:
        wanted["group"] = attribute(node, "group", 1)
    if node.op_type == "ConvTranspose":
        wanted["output_padding"] = windows.output_padding
    missing = {name: value for name, value in wanted.items() if attribute(node, name) != value}
    return missing, [name for name in ("auto_pad", "output_shape") if name in node.attributes]


def write_odd_windows(model: ir.Model) -> bool:
    """Write explicitly, in place, the first node whose windows ONNX or ONNX Runtime get wrong; return if there is one.

    ONNX's inference counts windows that begin after the input, misreads `output_shape` and adds output padding to
    the size that SAME asks for; ONNX Runtime ignores dilations in the padding of pools, and fails if strides are
    larger than the kernel. Shapes have to be inferred again afterwards, including those of the nodes that follow.
    """
    for node in model.graph.all_nodes():
        if node.domain != "" or node.op_type not in POOLS | CONVOLUTIONS:
            continue
        windows = windows_of(node)
        if windows is None or not _is_odd(node, windows):
            continue
        write_out(node, windows)
        if attribute(node, "ceil_mode", 0):
            _round_down(node, windows)
        return True
    return False


def _is_odd(node: ir.Node, windows: Windows) -> bool:
    same = node.op_type in POOLS and attribute(node, "auto_pad", "NOTSET").startswith("SAME")
    if same and any(
        step > 1 or s > r for step, s, r in zip(windows.dilations, windows.strides, windows.reach, strict=True)
    ):
        return True
    inferred = _spatial(node.outputs[0])
    unwritten = "output_shape" in node.attributes or "auto_pad" in node.attributes or attribute(node, "ceil_mode", 0)
    return bool(unwritten) and inferred != windows.sizes


def _round_down(node: ir.Node, windows: Windows) -> None:
    """Replace `ceil_mode` by padding, as much as the last windows cover."""
    x = _spatial(node.inputs[0])
    assert x is not None
    node.attributes.pop("ceil_mode")
    after = tuple(
        max(0, (count - 1) * step + reach - size - before)
        for count, step, reach, size, before in zip(
            windows.sizes, windows.strides, windows.reach, x, windows.before, strict=True
        )
    )
    beyond = any(more > given for more, given in zip(after, windows.after, strict=True))
    before = windows.before
    if beyond and node.op_type == "AveragePool" and attribute(node, "count_include_pad", 0):
        # Padding counts in the average, but elements beyond it do not: so the padding becomes part of the input.
        _pad(node, windows)
        after = tuple(max(0, more - given) for more, given in zip(after, windows.after, strict=True))
        before = (0,) * len(before)
        node.attributes.add(ir.AttrInt64("count_include_pad", 0))
    node.attributes.add(ir.AttrInt64s("pads", (*before, *after)))


def _pad(node: ir.Node, windows: Windows) -> None:
    """Insert a Pad with the padding of `windows` in front of `node`."""
    source, graph = node.inputs[0], node.graph
    assert isinstance(graph, ir.Graph) and source is not None
    pads = [0, 0, *windows.before, 0, 0, *windows.after]
    if opset(graph) < PADS_AS_INPUT:
        value = insert_before(node, "Pad", [source], {"pads": pads}, stem=f"{node.name}_pad")
    else:
        constant = add_constant(graph, f"{node.name}_pads", np.array(pads, np.int64))
        value = insert_before(node, "Pad", [source, constant], stem=f"{node.name}_pad")
    node.replace_input_with(0, value)
