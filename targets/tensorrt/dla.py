"""Estimates which layers a Jetson's DLA would run, in how many subgraphs; the engine itself is built for the GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from edgec.model.cost import layer_costs
from edgec.model.graph import constant
from edgec.targets.base import Finding
from edgec.targets.board import Board
from edgec.targets.tensorrt.dla_layers import why_not_on_dla
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import Limits

PIECES = 16
"""Maximum number of loadables per core, by the general restrictions in NVIDIA's list; TensorRT 5 stopped at 8."""
WORTH = 0.05
"""Minimum fraction of the MACs in a subgraph (edgec's choice): switching to the DLA and back copies and waits."""


@dataclass(frozen=True)
class DlaLayer:
    """One node: whether it would run on the DLA, and if not why."""

    where: str
    op_type: str
    on_dla: bool
    reason: str = ""


@dataclass(frozen=True)
class DlaReport:
    """The partition of a network: `pieces` subgraphs on the DLA with `share` of the MACs, in node order."""

    layers: tuple[DlaLayer, ...]
    pieces: int
    share: float

    def __str__(self) -> str:
        count = sum(layer.on_dla for layer in self.layers)
        if not count:
            return "DLA: no subgraph of the network is worth running on it"
        pieces = "1 piece" if self.pieces == 1 else f"{self.pieces} pieces"
        return f"DLA: {count} of {len(self.layers)} nodes, {self.share:.0%} of the MACs, in {pieces}"


def dla_report(model: ir.Model, board: Board) -> DlaReport | None:
    """Return what the DLA of `board` would run of the legalized `model`; None if the board has no DLA.

    To avoid switching back and forth, subgraphs between GPU layers stay on the GPU unless they have `WORTH` of the
    MACs, and at most `PIECES` of them, the largest, run on the DLA.
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
            "" if index in chosen else reasons[index] or "its subgraph is too small to be worth it",
        )
        for index, node in enumerate(nodes)
    )
    return DlaReport(layers, len(worth), sum(held[run[0]] for run in worth))


def with_devices(findings: tuple[Finding, ...], model: ir.Model, board: Board, limits: Limits) -> tuple[Finding, ...]:
    """Return `findings` on the nodes of `model` with the device on which each would run, if `board` has a DLA.

    A rewritten node is on the DLA if all nodes that replace it are; they are named after it.
    """
    if board.gpu is None or not board.gpu.dla_cores:
        return findings
    legal = model.clone()
    legalize(legal, limits)
    report = dla_report(legal, board)
    assert report is not None
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


def _label(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""
