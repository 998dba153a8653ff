"""`edgec eval`: the same figures for an ONNX file and for an artefact, by every way of giving data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import edgec
from edgec.cli import main
from tests.support.models import proto

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"

# The scores are the means of the channels: the class is the colour.
COLOURS = (
    "colours (float[batch, 3, 8, 8] image) => (float[batch, 3, 1, 1] scores) { scores = GlobalAveragePool (image) }"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "colours.onnx"
    onnx.save(proto(COLOURS), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes in the order of the channels; one of four pictures is in the wrong folder."""
    folder = tmp_path / "pictures"
    for index, (name, colour) in enumerate([("blue", "blue"), ("green", "lime"), ("red", "red"), ("red", "blue")]):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), colour).save(folder / name / f"{index}.png")
    (folder / "classes.txt").write_text("red\ngreen\nblue\n")
    return folder


@dataclass
class Finished:
    """What the command left: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> dict[str, Any]:
        assert self.code == 0, self.stderr
        data: dict[str, Any] = json.loads(self.stdout)
        return data


Run = Callable[..., Finished]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `edgec eval ARGUMENTS`, in this process: a new one takes seconds to import everything."""

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["edgec", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Finished(int(stop.value.code or 0), *capsys.readouterr())

    return run


def test_a_model_on_a_folder_of_pictures(run: Run, model: Path, pictures: Path) -> None:
    data = run(model, "--data", pictures, "--metric", "top1", "--metric", "top5", "--json").data
    mistakes = data["metrics"]["top1"]["details"]
    assert sum(mistakes["taken_for"].values()) == 1
    assert (data["samples"], data["where"]) == (4, "onnxruntime")
    assert data["metrics"] == {
        "top1": {"value": 0.75, "higher_is_better": True, "details": mistakes},
        "top5": {"value": 1.0, "higher_is_better": True, "details": {}},
    }
    text = run(model, "--data", pictures, "--metric", "classification").stdout
    first, taken, last = text.splitlines()
    assert (first, last) == ("classification 0.8250  top1 0.7500  top5 1.0000", "4 samples, onnxruntime")
    assert re.fullmatch(r"  taken_for: \w+ as \w+ 1", taken)


def test_an_artefact_gives_the_same_and_keeps_it(run: Run, model: Path, pictures: Path, tmp_path: Path) -> None:
    artefact = edgec.compile(
        model, target=str(BOARD), output=tmp_path / "artefact", preprocess={"colour": "bgr"}
    ).folder
    command = (artefact, "--data", pictures, "--metric", "top1", "--metric", "output-error", "--reference", model)
    data = run(*command, "--json").data
    bgr = run(model, "--data", pictures, "--metric", "top1", "--preprocess", "colour=bgr", "--json").data
    assert data["metrics"]["top1"] == bgr["metrics"]["top1"]
    assert data["metrics"]["output-error"]["value"] == 0
    assert json.loads((artefact / "evidence.json").read_text())["evaluation"] == data


def test_what_cannot_be_kept_is_printed(run: Run, model: Path, pictures: Path, tmp_path: Path) -> None:
    artefact = edgec.compile(model, target=str(BOARD), output=tmp_path / "artefact").folder
    (artefact / "evidence.json").unlink(missing_ok=True)
    (artefact / "evidence.json").mkdir()
    finished = run(artefact, "--data", pictures, "--metric", "top1", "--json")
    assert finished.data["metrics"]["top1"]["value"] == 0.75
    assert "not kept: cannot write" in finished.stderr


def test_a_limit_is_spread_over_the_data(run: Run, model: Path, pictures: Path) -> None:
    data = run(model, "--data", pictures, "--metric", "top1", "--limit", "2", "--json").data
    assert (data["samples"], data["metrics"]["top1"]["value"]) == (2, 1.0)


def test_an_infinite_error_is_null_in_json(run: Run, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    onnx.save(
        proto(COLOURS.replace("scores = GlobalAveragePool (image)", "s = GlobalAveragePool (image) scores = Exp (s)")),
        tmp_path / "exp.onnx",
    )
    command = (tmp_path / "exp.onnx", "--data", tmp_path / "x.npy", "--metric", "output-error", "--reference", model)
    data = run(*command, "--json").data
    assert data["metrics"]["output-error"]["value"] is None


REFUSALS = {
    "no data": ([], "--data"),
    "no such data": (["--data", "nowhere", "--metric", "top1"], "Known kinds: a folder"),
    "no such metric": (["--data", "pictures", "--metric", "top2"], "Did you mean top"),
    "no decoder": (["--data", "pictures", "--metric", "map"], "--decoder"),
    "no such decoder": (["--data", "pictures", "--metric", "map", "--decoder", "yolo"], "Did you mean yolo"),
    "wrong head": (
        ["--data", "pictures", "--metric", "top1", "--decoder", "yolov5"],
        "decoder yolov5: the output is [1, 3, 1, 1]",
    ),
    "no reference": (["--data", "pictures", "--metric", "output-error"], "--reference"),
    "labels of another kind": (["--data", "pictures", "--metric", "miou"], "ClassLabel, not Mask"),
    "wrong preprocessing": (["--data", "pictures", "--metric", "top1", "--preprocess", "colour=grey"], "3 channels"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_one_message_and_exit_code_2(
    run: Run, model: Path, pictures: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, message = REFUSALS[case]
    monkeypatch.chdir(pictures.parent)
    process = run(model, *arguments)
    assert process.code == 2, process.stderr
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_what_was_compiled_in_cannot_be_changed(run: Run, model: Path, pictures: Path, tmp_path: Path) -> None:
    artefact = edgec.compile(model, target=str(BOARD), output=tmp_path / "artefact").folder
    process = run(artefact, "--data", pictures, "--metric", "top1", "--preprocess", "colour=bgr")
    assert process.code == 2
    assert "--preprocess was fixed" in process.stderr


# The demo detector ----------------------------------------------------------------------------------------------------


VALIDATION = """
import sys
sys.path.insert(0, {folder!r})
from dataset import split

def validation():
    return split("validation", 25)
"""


@pytest.mark.slow
def test_the_demo_detector_as_coco_and_as_python(run: Run, tmp_path: Path) -> None:
    """Both give what examples/detector/evaluate.py prints."""
    folder = ROOT / "examples" / "detector"
    write = [sys.executable, folder / "write_pictures.py", "validation", "--count", "25", "--output", tmp_path]
    subprocess.run(write, check=True, cwd=folder, capture_output=True)
    (tmp_path / "pictures.py").write_text(VALIDATION.format(folder=str(folder)))
    judge = [sys.executable, folder / "evaluate.py", folder / "detector.onnx", "--pictures", "25"]
    printed = subprocess.run(judge, check=True, cwd=folder, capture_output=True, text=True).stdout
    for data in (tmp_path / "validation" / "annotations.json", f"{tmp_path / 'pictures.py'}:validation"):
        command = (folder / "detector.onnx", "--data", data, "--metric", "map", "--decoder", folder / "detector.json")
        metric = run(*command, "--json").data["metrics"]["map"]
        assert f"mAP@0.5 {metric['details']['map50']:.4f}, mAP@0.5:0.95 {metric['value']:.4f}" in printed
