"""`edgec calibrate` and `edgec quantize` as a user calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from edgec.cli import app
from edgec.errors import BadOption
from tests.passes.quantize_support import pictures, small
from tests.support.models import saved


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return a model and samples as files."""
    model, data = saved(small(), tmp_path / "model.onnx"), tmp_path / "data.npy"
    np.save(data, np.concatenate([sample.inputs["image"] for sample in pictures(12)]))
    return model, data


def edgec(*arguments: Any) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_calibrate_then_quantize_with_the_table(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    scales, output = tmp_path / "scales.json", tmp_path / "model.int8.onnx"
    said = edgec("calibrate", model, "--data", data, "--calibrator", "kl", "-o", scales, "-q").stdout
    assert "kl, 12 samples" in said
    assert json.loads(scales.read_text())["tensors"]["image"]["method"] == "kl"
    said = edgec("quantize", model, "--data", data, "--scales", scales, "-o", output, "-q").stdout
    assert "6 layers on integers" in said
    onnx.checker.check_model(output, full_check=True)


def test_quantize_alone_says_what_it_did_as_json(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    output, table = tmp_path / "out.onnx", tmp_path / "used.json"
    result = edgec(
        "quantize", model, "--data", data, "-o", output, "--metric", "output-error", "--save-scales", table, "--json"
    )
    said = json.loads(result.stdout)
    assert said["layers"] == 6
    assert 0 < said["loss"] < 0.02
    assert said["bytes"] == output.stat().st_size
    assert table.exists()


def test_a_loss_that_is_kept_names_its_float_layers(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    said = edgec("quantize", model, "--data", data, "-o", tmp_path / "o", "--max-loss", 0.002, "-q").stdout
    assert "stays in float: its loss is" in said


def test_tensorrt_style_calibrates_symmetrically(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    table = tmp_path / "used.json"
    edgec("quantize", model, "--data", data, "-o", tmp_path / "o", "--style", "tensorrt", "--save-scales", table, "-q")
    assert json.loads(table.read_text())["scheme"]["kind"] == "symmetric"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "odd"], "unknown scheme 'odd'"),
        (["--weight-bits", "9"], "--weight-bits must be less than or equal to 8, but is 9"),
        (["--max-loss", "-1"], "--max-loss"),
        (["--style", "odd"], "--style must be 'runtime' or 'tensorrt', but is 'odd'"),
        (["--calibrator", "mss"], "unknown calibrator 'mss'"),
        (["--scales", "none.json"], r"calibration table none\.json"),
        (["--metric", "map"], "needs a decoder"),
    ],
)
def test_wrong_options(files: tuple[Path, Path], tmp_path: Path, arguments: list[str], message: str) -> None:
    model, data = files
    with pytest.raises(BadOption, match=message):
        edgec("quantize", model, "--data", data, "-o", tmp_path / "out.onnx", "-q", *arguments)


def test_compile_to_int8_for_a_jetson_calibrates_and_says_so(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    output = tmp_path / "out"
    said = edgec(
        "compile", model, "-t", "jetson-agx-orin", "--precision", "int8", "--data", data, "-o", output, "-q",
        "--calibrator", "kl", "--max-loss", 0.003,
    ).stdout  # fmt: skip
    assert "on 5 held-out samples (7 others were used for decisions); accepted 0.003" in said
    assert [line.split()[0] for line in said.splitlines()[:3]] == ["step", "original", "quantize"]
    ops = [node.op_type for node in onnx.load(output / "model.onnx").graph.node]
    assert "QuantizeLinear" in ops
    manifest = json.loads((output / "manifest.json").read_text())
    done = next(entry for entry in manifest["passes"] if entry["name"] == "quantize")
    assert "calibrated by kl, 7 samples" in done["changes"][0]  # the other 5 of the 12 are held out
    assert manifest["compression"]["held_out"] == 5
    kept = [entry for entry in manifest["refusals"] if entry["step"] == "quantize"]
    assert kept
    assert all("its loss as integers is" in entry["reason"] for entry in kept)


def test_compile_to_int8_twice_gives_the_same_artefact(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    written = []
    for number in range(2):
        output = tmp_path / str(number)
        edgec("compile", model, "-t", "jetson-agx-orin", "--precision", "int8", "--data", data, "-o", output, "-q")
        written.append((output / "manifest.json").read_bytes())
    assert written[0] == written[1]


def test_places_that_cannot_be_written_are_refused_before_the_work(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, _ = files
    missing, data = tmp_path / "missing" / "out", "no such data"
    with pytest.raises(BadOption, match="is the model itself"):
        edgec("quantize", model, "--data", data, "-o", model)
    with pytest.raises(BadOption, match="there is no folder"):
        edgec("quantize", model, "--data", data, "-o", tmp_path / "out.onnx", "--save-scales", missing)
    with pytest.raises(BadOption, match="another output has that name"):
        edgec("quantize", model, "--data", data, "-o", tmp_path / "out.onnx", "--save-scales", tmp_path / "out.onnx")
    with pytest.raises(BadOption, match="is the model itself"):
        edgec("calibrate", model, "--data", data, "-o", model)
    with pytest.raises(BadOption, match="there is no folder"):
        edgec("calibrate", model, "--data", data, "-o", missing)


def test_a_scheme_that_cannot_be_is_refused_before_the_work(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    common = ("quantize", model, "--data", data, "-o", tmp_path / "out.onnx")
    with pytest.raises(BadOption, match="has one of its own"):
        edgec(*common, "--scheme", "symmetric", "--scales", tmp_path / "scales.json")
    with pytest.raises(BadOption, match="TensorRT does not support zero points"):
        edgec(*common, "--scheme", "asymmetric", "--style", "tensorrt")


def test_without_a_metric_it_says_how_far_the_outputs_differ(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = files
    said = edgec("quantize", model, "--data", data, "-o", tmp_path / "out.onnx", "-q").stdout
    assert re.search(r"6 layers on integers, .*, outputs differ from the original's by 0\.\d\d% \(output-error\)", said)
