"""Estimates of latency on Jetsons: near the published figures they were fitted to, and marked as estimates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.yolo11 import Yolo11
from edgec.cli import app
from edgec.model.cost import LayerCost, layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.targets.board import load_board
from edgec.targets.tensorrt.latency import estimate_for, figures, summary
from tests.support.real_models import REAL_MODELS
from tests.support.tensorrt_board import small_model, write_artefact

NEAR = 0.12
"""bench/tensorrt_latency.py: the largest error of the fit is 11 %."""
CONV = LayerCost("conv", "Conv", (1, 64, 80, 80), 235_929_600, 36_864, 147_456, 1_638_400)
RELU = LayerCost("relu", "Relu", (1, 64, 80, 80), 0, 0, 0, 1_638_400)


@pytest.mark.parametrize("network", ["light_squeezenet", "light_resnet50", "light_inception_v1"])
def test_published_figures(network: str) -> None:
    real = REAL_MODELS[network]
    layers = layer_costs(prepare(fix_shapes(load(real.require()).model, real.shapes)))
    for figure in (figure for figure in figures() if figure["network"] == network):
        estimate = estimate_for(load_board(figure["board"]))
        assert estimate is not None
        assert 1e3 * sum(estimate(layers, figure["precision"])) == pytest.approx(figure["ms"], rel=NEAR)
        assert figure["source"]


@pytest.mark.parametrize("board", ["jetson-agx-orin", "jetson-orin-nx"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_published_figures_of_yolo11s(board: str, precision: str) -> None:
    """The fit is off by up to 12 % here."""
    layers = layer_costs(prepare(fix_shapes(load(Yolo11("s").network()).model, {})))
    assert sum(layer.macs for layer in layers) == pytest.approx(10.8e9, rel=0.01)
    known = [each for each in figures() if (each["board"], each["network"]) == (board, "yolo11s")]
    published = {figure["precision"]: figure["ms"] for figure in known}
    estimate = estimate_for(load_board(board))
    assert estimate is not None
    assert 1e3 * sum(estimate(layers, precision)) == pytest.approx(published[precision], rel=0.13)


def test_precisions_and_boards_are_in_order() -> None:
    def seconds(board: str, precision: str) -> float:
        estimate = estimate_for(load_board(board))
        assert estimate is not None
        return sum(estimate([CONV], precision))

    assert seconds("jetson-tx2", "fp16") < seconds("jetson-tx2", "fp32")
    assert seconds("jetson-agx-orin", "int8") < seconds("jetson-agx-orin", "fp16")
    assert seconds("jetson-agx-orin", "fp16") < seconds("jetson-tx2", "fp16") < seconds("jetson-nano", "fp16")


def test_activations_are_joined_to_the_layer_before() -> None:
    estimate = estimate_for(load_board("jetson-tx2"))
    assert estimate is not None
    assert estimate([CONV, RELU], "fp16") == (estimate([CONV], "fp16")[0], 0.0)


def test_layers_left_in_float_take_longer() -> None:
    estimate = estimate_for(load_board("jetson-agx-orin"))
    assert estimate is not None
    assert estimate([CONV], "int8", ["conv"]) == estimate([CONV], "fp16")
    assert estimate([CONV], "fp16", ["conv"]) == estimate([CONV], "fp32")


@pytest.mark.parametrize(
    ("board", "remark"), [("jetson-tx2", "off by up to 18%"), ("jetson-agx-orin", "off by up to 32%")]
)
def test_it_says_that_it_is_an_estimate(board: str, remark: str) -> None:
    estimate = estimate_for(load_board(board))
    assert estimate is not None
    assert remark in summary(estimate, [CONV], "fp16", [])["remark"]


def test_the_artefact_holds_the_estimate(tmp_path: Path) -> None:
    write_artefact(tmp_path, small_model(), precision="fp16")
    estimate = json.loads((tmp_path / "manifest.json").read_text())["runtime"]["estimate"]
    assert estimate["ms"] > 0
    assert estimate["remark"].startswith("estimate")


def test_inspect_shows_it() -> None:
    path = str(REAL_MODELS["detector"].require())
    arguments = ["inspect", path, "--target", "jetson-tx2", "--precision", "fp16"]
    assert "* an estimate" in CliRunner().invoke(app, arguments).stdout
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert sum(json.loads(result.stdout)["estimate"]["seconds"]) > 1e-4
    assert CliRunner().invoke(app, ["inspect", path, "--target", "jetson-tx2", "--precision", "int8"]).exit_code
