"""Which layers a Jetson's DLA would run, and in how many pieces; a report, the engine is built for the GPU.

Source: NVIDIA TensorRT documentation, "DLA Supported Layers and Restrictions"
(docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/dla-layer-restrictions.html), in its narrower older form
where versions differ. Not run on a DLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgec.model.cost import layer_costs
from edgec.model.graph import attribute, constant, scalar
from edgec.targets.base import Finding
from edgec.targets.board import Board
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.legalize.rewriter import shape_of
from edgec.targets.tensorrt.limits import Limits

PIECES = 8
"""Loadables that a core takes, as users found; the documentation says 16 of newer versions."""
WORTH = 0.05
"""Share of the MACs that a piece must hold: going over to the DLA and back copies and waits."""
LARGEST_SIZE = 8192
VOLTA = 72


@dataclass(frozen=True)
class DlaLayer:
    """One node: whether it is to run on the DLA, and if not why."""

    where: str
    op_type: str
    on_dla: bool
    reason: str = ""


@dataclass(frozen=True)
class DlaReport:
    """The split of a network: `pieces` stretches on the DLA with `share` of the MACs, in the order of the nodes."""

    layers: tuple[DlaLayer, ...]
    pieces: int
    share: float

    def __str__(self) -> str:
        count = sum(layer.on_dla for layer in self.layers)
        if not count:
            return "DLA: no stretch of the network is worth it"
        pieces = "1 piece" if self.pieces == 1 else f"{self.pieces} pieces"
        return f"DLA: {count} of {len(self.layers)} nodes, {self.share:.0%} of the MACs, in {pieces}"


def dla_report(model: ir.Model, board: Board) -> DlaReport | None:
    """Return what the DLA of `board` would run of the legalized `model`; None if it has none.

    No ping-pong: stretches between GPU layers stay on the GPU unless they hold `WORTH` of the MACs, and at most
    `PIECES` of them, the largest, go to the DLA.
    """
    if board.gpu is None or not board.gpu.dla_cores:
        return None
    nodes = [node for node in model.graph if any(constant(output) is None for output in node.outputs)]
    macs = {cost.name: cost.macs for cost in layer_costs(model)}
    reasons = [why_not_on_dla(node, board.gpu.sm) for node in nodes]
    runs: list[list[int]] = []
    for index, reason in enumerate(reasons):
        if not reason:
            if index and runs and runs[-1][-1] == index - 1:
                runs[-1].append(index)
            else:
                runs.append([index])
    total = sum(macs.values()) or 1
    held = {run[0]: sum(macs.get(_label(nodes[index]), 0) for index in run) / total for run in runs}
    worth = sorted((run for run in runs if held[run[0]] >= WORTH), key=lambda run: held[run[0]], reverse=True)[:PIECES]
    chosen = {index for run in worth for index in run}
    layers = tuple(
        DlaLayer(
            _label(node),
            node.op_type,
            index in chosen,
            "" if index in chosen else reasons[index] or "its stretch is too small to go over",
        )
        for index, node in enumerate(nodes)
    )
    return DlaReport(layers, len(worth), sum(held[run[0]] for run in worth))


def with_devices(findings: tuple[Finding, ...], model: ir.Model, board: Board, limits: Limits) -> tuple[Finding, ...]:
    """Return `findings` on the nodes of `model` with the device that each is to run on, where `board` has a DLA.

    A node that was rewritten is on the DLA if all nodes in its place are: they are named after it.
    """
    legal = model.clone()
    legalize(legal, limits)
    report = dla_report(legal, board)
    if report is None:
        return findings
    told = []
    for finding in findings:
        parts = [
            layer
            for layer in report.layers
            if layer.where == finding.where
            or (finding.verdict == "rewritten" and layer.where.startswith(f"{finding.where}_"))
        ]
        on_gpu = next((layer.reason for layer in parts if not layer.on_dla), None)
        device = "" if not parts else "DLA" if on_gpu is None else f"GPU: {on_gpu}"
        told.append(replace(finding, device=device))
    return tuple(told)


def why_not_on_dla(node: ir.Node, sm: int) -> str:
    """Return why the DLA does not run `node`, empty if it does.

    Args:
        node: Of a legalized model, static shapes.
        sm: Of the board's GPU: 72 has DLA version 1, 87 version 2.
    """
    for value in node.outputs[:1]:
        shape = shape_of(value)
        if shape is None or len(shape) != 4:
            return f"its output has {'no static shape' if shape is None else f'{len(shape)} axes'}, it must have 4"
        if max(shape[1:]) > LARGEST_SIZE:
            return f"a size of {max(shape[1:])} is over {LARGEST_SIZE}"
    if node.op_type == "Softmax" and sm <= VOLTA:
        return "DLA version 1 has no Softmax"
    rule = RULES.get(node.op_type)
    return f"{node.op_type} is not a layer of the DLA" if rule is None else rule(node)


def _window(node: ir.Node, kernel: int, stride: int, pad: int) -> str:
    weights = shape_of(node.inputs[1]) if len(node.inputs) > 1 else None
    window = attribute(node, "kernel_shape", weights[2:] if weights else ())
    if len(window) != 2:
        return f"a window of {len(window)} axes, it must have 2"
    for what, values, most in (
        ("kernel", window, kernel),
        ("stride", attribute(node, "strides", (1,)), stride),
        ("padding", attribute(node, "pads", (0,)), pad),
        ("dilation", attribute(node, "dilations", (1,)), 32),
    ):
        if max(values) > most:
            return f"{what} {max(values)} is over {most}"
    return ""


def _convolution(node: ir.Node) -> str:
    return _window(node, 32, 8, 31)


def _deconvolution(node: ir.Node) -> str:
    if attribute(node, "group", 1) != 1 or any(size != 1 for size in attribute(node, "dilations", (1,))):
        return "groups and dilations of transposed convolutions are not taken"
    return "padding must be 0" if any(attribute(node, "pads", (0,))) else _window(node, 32, 32, 0)


def _pooling(node: ir.Node) -> str:
    padded = any(attribute(node, "pads", (0,)))
    if node.op_type == "AveragePool" and padded and not attribute(node, "count_include_pad", 0):
        return "average pooling must count its padding"
    return _window(node, 8, 16, 7)


def _global_pooling(node: ir.Node) -> str:
    shape = shape_of(node.inputs[0])
    return "" if shape is not None and max(shape[2:]) <= 8 else "its window is over 8"


def _concat(node: ir.Node) -> str:
    return "" if attribute(node, "axis", 1) in (1, -3) else "it must be along the channels"


def _elementwise(node: ir.Node) -> str:
    shapes = [shape_of(value) for value in node.inputs]
    known = [shape for shape in shapes if shape is not None]
    full = max(known, key=math.prod)
    for shape in known:
        padded = (1,) * (4 - len(shape)) + shape
        if padded not in (full, (full[0], full[1], 1, 1), (1, full[1], 1, 1), (1, 1, 1, 1)):
            return f"an operand of shape {list(shape)} is not broadcast"
    return ""


def _prelu(node: ir.Node) -> str:
    return "" if constant(node.inputs[1]) is not None else "its slope must be constant"


def _clip(node: ir.Node) -> str:
    low, high = (scalar(value) for value in (*node.inputs[1:3], None, None)[:2])
    if low != 0 or high is None or not 1 <= high <= 127:
        return "it must clip to 0 and a bound from 1 to 127"
    return ""


def _resize(node: ir.Node) -> str:
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    most = 32 if attribute(node, "mode", "nearest") == "nearest" else 4
    if before is None or after is None or attribute(node, "mode", "nearest") == "cubic":
        return "it must be nearest or linear"
    factors = [new / old for new, old in zip(after, before, strict=True)]
    fits = factors[:2] == [1, 1] and all(factor in range(1, most + 1) for factor in factors[2:])
    return "" if fits else f"its factors must be whole, 1 to {most}, on height and width only"


def _lrn(node: ir.Node) -> str:
    return "" if attribute(node, "size", 0) in (3, 5, 7, 9) else "its window must be 3, 5, 7 or 9"


def _reduce_max(node: ir.Node) -> str:
    return "" if attribute(node, "keepdims", 1) else "it must keep its axes"


def _any(node: ir.Node) -> str:
    return ""


RULES: dict[str, Callable[[ir.Node], str]] = {
    **dict.fromkeys(("Abs", "LeakyRelu", "Relu", "Sigmoid", "Softmax", "Tanh"), _any),
    **dict.fromkeys(("Add", "Max", "Min", "Mul", "Sub", "Sum"), _elementwise),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pooling),
    "BatchNormalization": _any,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "ConvTranspose": _deconvolution,
    "LRN": _lrn,
    "PRelu": _prelu,
    "ReduceMax": _reduce_max,
    "Resize": _resize,
}


def _label(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""
