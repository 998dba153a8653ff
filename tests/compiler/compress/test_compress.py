"""Compression within an accepted loss: the demo detector, decided on some pictures, judged on others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import edgec
from edgec.cli import app
from edgec.compress import compress as module
from edgec.compress.settings import implied_options
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.evaluation.run_metrics import run_metrics
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.options import compile_options
from edgec.preprocessing import Preprocessing
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference
from edgec.report.findings import Findings
from edgec.validation import parse_settings
from tests.passes.quantize_support import pictures, small
from tests.support.copy_board import copy_board
from tests.support.models import model as network
from tests.support.models import random_weights, saved

DETECTOR = Path(__file__).parents[3] / "examples" / "detector"
RENDERED = """
import sys
sys.path.insert(0, {folder!r})
from dataset import render

def known():
    return [render(2_000_003, index) for index in range(30)]

def unseen():
    return [render(3_000_017, index) for index in range(30)]
"""


@pytest.fixture
def board(tmp_path: Path) -> str:
    """Return a board whose back end takes quantized networks and needs no compiler."""
    copy_board(tmp_path / "floats.toml", precisions=("fp32",))
    return copy_board(tmp_path / "board.toml")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return a small model and unlabelled samples as files."""
    path, data = saved(small(), tmp_path / "model.onnx"), tmp_path / "data.npy"
    np.save(data, np.concatenate([sample.inputs["image"] for sample in pictures(20)]))
    return path, data


def test_the_promised_loss_is_kept_on_pictures_that_nothing_was_decided_on(board: str, tmp_path: Path) -> None:
    (tmp_path / "rendered.py").write_text(RENDERED.format(folder=str(DETECTOR)))
    accepted = 0.05
    artefact = edgec.compile(
        DETECTOR / "detector.onnx",
        target=str(Path(board).with_name("floats.toml")),
        output=tmp_path / "out",
        data=f"{tmp_path / 'rendered.py'}:known",
        metric="map",
        decoder=str(DETECTOR / "detector.json"),
        max_loss=accepted,
        prune=parse_settings("include=/head/neck_32/neck_32.[13]/*", PruneOptions, "--prune"),
    )
    compression = artefact.manifest.compression
    assert compression is not None
    assert (compression.decided_on, compression.held_out) == (18, 12)
    assert [step.name for step in compression.steps] == ["original", "prune"]
    assert compression.loss is not None
    assert compression.loss <= accepted
    first, pruned = compression.steps
    assert pruned.macs < first.macs
    assert pruned.weight_bytes < 0.97 * first.weight_bytes
    before, after = (map_on(tmp_path, run) for run in (original(), artefact.runner().run))
    assert after.loss_against(before) <= accepted
    assert artefact.verify().ok


def original() -> Any:
    return Reference(fix_shapes(load(DETECTOR / "detector.onnx").model, {})).run


def map_on(folder: Path, run: Any) -> MetricResult:
    """Return the mAP of a network on pictures of another seed."""
    from edgec.data.decoders.read import read_decoder

    specs = inputs_of(fix_shapes(load(DETECTOR / "detector.onnx").model, {}))
    samples = open_samples(f"{folder / 'rendered.py'}:unseen", specs, Preprocessing())
    context = MetricContext(read_decoder(str(DETECTOR / "detector.json")), samples.classes)
    return run_metrics(run, samples, {"map": make_metric("map", context)})["map"]


def test_without_labels_the_error_of_the_outputs_is_kept(files: tuple[Path, Path], board: str, tmp_path: Path) -> None:
    model, data = files
    artefact = edgec.compile(model, target=board, output=tmp_path / "out", data=str(data), max_loss=0.1)
    compression = artefact.manifest.compression
    assert artefact.manifest.options.precision == "int8"
    assert compression is not None
    assert compression.metric == "output-error"
    assert 0 < (compression.loss or 0) <= 0.1
    assert {entry.name for entry in artefact.manifest.passes} >= {"prune", "quantize"}
    findings = Findings.read(artefact.folder)
    assert findings is not None
    assert findings.curves
    assert findings.histograms
    assert any(layer.bits == 8 and (layer.sqnr or 0) > 10 for layer in findings.layers)


def test_without_a_metric_the_difference_of_the_outputs_is_told(
    files: tuple[Path, Path], board: str, tmp_path: Path
) -> None:
    model, data = files
    arguments = ["compile", model, "-t", board, "--data", data, "--precision", "int8", "-o", tmp_path / "out"]
    said = CliRunner().invoke(app, [str(each) for each in arguments]).stdout
    assert re.search(r"outputs differ from the original's by \d\.\d\d% \(output-error\), on 20 samples", said)
    row = edgec.compare(tmp_path / "out", tmp_path / "out").rows[-1]
    assert row.name == "lost by compression, output-error"
    assert 0 < row.new < 0.1


def test_outputs_that_cannot_be_compared_stop_no_compilation(board: str, tmp_path: Path) -> None:
    text = """net (float[1, 3, 8, 8] image) => (float[1, 4, 8, 8] y, float[1, 4, 8, 8] z)
      { c = Conv (image, w)  y = Relu (c)  l = Log (y)  z = Neg (l) }"""  # the logarithm of 0 is not finite
    path = saved(network(text, random_weights(w=(4, 3, 1, 1))), tmp_path / "model.onnx")
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((4, 3, 8, 8), dtype=np.float32))
    artefact = edgec.compile(
        path, target=board, output=tmp_path / "out", data=str(tmp_path / "data.npy"), precision="int8", verify=False
    )
    reasons = [refusal.reason for refusal in artefact.manifest.refusals]
    assert any(reason.startswith("its loss was not measured: metric output-error: output 'z'") for reason in reasons)


def held_out_losses(*losses: float) -> Any:
    """Return what stands for the `Evaluator` of the held-out samples: one loss after the other, of nothing at first."""
    results = (MetricResult(loss, False) for loss in losses)
    return lambda *_: SimpleNamespace(baseline=MetricResult(0.0, False), evaluate=lambda model: next(results))


def test_what_the_held_out_samples_refuse_is_done_again_with_less(
    files: tuple[Path, Path], board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = files
    monkeypatch.setattr(module, "Evaluator", held_out_losses(1.0, 1.0, 0.05))
    artefact = edgec.compile(model, target=board, output=tmp_path / "out", data=str(data), max_loss=0.1)
    compression = artefact.manifest.compression
    assert compression is not None
    assert compression.rounds == 3
    assert max(step.loss or 0 for step in compression.steps) <= 0.1 * module.AIM / 4


def test_a_network_that_stays_the_same_is_calibrated_once_for_all_rounds(
    files: tuple[Path, Path], board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = files
    monkeypatch.setattr(module, "Evaluator", held_out_losses(1.0, 1.0, 0.05))
    said: list[str] = []
    artefact = edgec.compile(
        model, target=board, output=tmp_path / "out", data=str(data), max_loss=0.1, precision="int8",
        progress=said.append,
    )  # fmt: skip
    assert artefact.manifest.compression is not None
    assert artefact.manifest.compression.rounds == 3
    assert said.count("calibrate") == 1
    assert said.count("quantize") == 3


def test_a_loss_that_cannot_be_kept_leaves_the_network_as_it_was(
    files: tuple[Path, Path], board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = files
    monkeypatch.setattr(module, "Evaluator", held_out_losses(*[1.0] * module.ROUNDS))
    artefact = edgec.compile(model, target=board, output=tmp_path / "out", data=str(data), max_loss=0.1)
    assert artefact.manifest.options.precision == "fp32"
    assert "QuantizeLinear" not in {node.op_type for node in onnx.load(artefact.folder / "model.onnx").graph.node}
    assert [entry for entry in artefact.manifest.refusals if entry.step == "compress"]


def test_a_budget_is_reached_and_kept_in_the_artefact(files: tuple[Path, Path], board: str, tmp_path: Path) -> None:
    model, data = files
    prune = {"target_macs": 0.7, "exclude": ["Conv_10"], "multiple": 2}
    artefact = edgec.compile(model, target=board, output=tmp_path / "out", data=str(data), prune=prune)
    compression = artefact.manifest.compression
    assert compression is not None
    assert compression.held_out == 0
    assert compression.steps[1].macs <= 0.7 * compression.steps[0].macs
    used = json.loads((artefact.folder / "manifest.json").read_text())["options"]["prune"]
    assert used["target_macs"] == 0.7
    assert used["exclude"] == ["Conv_10"]


def test_an_interrupted_compilation_goes_on_where_it_was(
    files: tuple[Path, Path], board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = files
    said: list[str] = []

    def interrupt(stage: str) -> None:
        if stage.startswith("prune: sensitivity 4/"):
            raise KeyboardInterrupt

    settings = {"target": board, "output": tmp_path / "out", "data": str(data), "max_loss": 0.1}
    with pytest.raises(KeyboardInterrupt):
        edgec.compile(model, progress=interrupt, **settings)
    (journal,) = tmp_path.glob("out.*.jsonl")
    there = len(journal.read_text().splitlines())
    edgec.compile(model, progress=said.append, **settings)
    assert next(stage for stage in said if "sensitivity" in stage).startswith(f"prune: sensitivity {there - 2}/")
    assert not journal.exists()


@pytest.mark.parametrize(
    ("given", "precision", "prunes"),
    [
        ({"max_loss": 0.01, "data": "d"}, "int8", True),
        ({"max_loss": 0.01, "data": "d", "precision": "fp32"}, "fp32", True),
        ({"max_loss": 0.01, "data": "d", "precision": "int8"}, "int8", False),
        ({"max_loss": 0.01, "data": "d", "precision": "int8", "prune": {}}, "int8", True),
        ({"max_loss": 0.01, "data": "d", "prune": {"cap": 0.5}}, "int8", True),
        ({"precision": "int8", "data": "d"}, "int8", False),
        ({}, "fp32", False),
    ],
)
def test_what_an_accepted_loss_implies(given: dict[str, Any], precision: str, prunes: bool) -> None:
    options = implied_options(compile_options({"target": "x", **given}), Profile(precisions=("fp32", "int8")))
    assert (options.precision, options.prune is not None) == (precision, prunes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_loss": 0.1}, "needs pictures"),
        ({"prune": {}, "data": "d"}, "has no goal"),
        ({"prune": {"ratio": 0.5}}, "needs data: pictures"),
        ({"max_loss": 0.1, "data": "data.npy", "metric": "map"}, "needs a decoder"),
        ({"max_loss": 0.1, "data": "data.npy", "prune": {"ratio": 0.5, "target_macs": 0.5}}, "one goal"),
        ({"max_loss": 0.1, "data": "data.npy", "prune": {}, "scales": "s.json", "precision": "int8"}, "before pruning"),
        ({"precision": "int8"}, "the model is in float, and there are no pictures"),
        ({"scales": "s.json"}, "nothing is quantized"),
        ({"precision": "int8", "data": "data.npy", "scales": "s.json"}, "s.json"),
    ],
)
def test_refusals(
    files: tuple[Path, Path],
    board: str,
    tmp_path: Path,
    given: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOption, match=message):
        edgec.compile(files[0], target=board, output=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_pruning_as_it_is_written_on_the_command_line() -> None:
    options = parse_settings(
        "target_macs=0.5,cap=0.8,exclude=/head/*,exclude=/neck/*,repair=false", PruneOptions, "--prune"
    )
    assert options == PruneOptions(target_macs=0.5, cap=0.8, exclude=("/head/*", "/neck/*"), repair=False)
    for wrong, message in (
        ("capp=1", "'capp=1' is not a setting"),
        ("cap=2", "cap must be less than 1"),
        ("cap", "'cap'"),
    ):
        with pytest.raises(BadOption, match=message):
            parse_settings(wrong, PruneOptions, "--prune")
