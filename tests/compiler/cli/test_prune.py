"""`edgec sensitivity` and `edgec prune`, on a small network and noise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import edgec as edgec_api
from edgec import Measuring, registry
from edgec.cli import app
from edgec.cli.sensitivity import show
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.errors import BadOption
from edgec.model.cost import layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.passes.prepare import prepare
from edgec.reference.session import Reference
from edgec.targets.board import load_board
from tests.support.architectures import ARCHITECTURES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, data, and the sensitivity report made of them."""
    folder = tmp_path_factory.mktemp("prune")
    onnx.save(ARCHITECTURES["mobilenet_v2"](), folder / "net.onnx")
    np.save(folder / "data.npy", np.random.default_rng(0).standard_normal((12, 3, 32, 32), dtype=np.float32))
    edgec(
        folder, "sensitivity", "net.onnx", "--data", "data.npy", "--workers", "0", "-o", "sens.json",
        "--plot", "curves.svg", "--quiet",
    )  # fmt: skip
    return folder


def edgec(folder: Path, *args: str) -> str:
    here = [str(folder / arg) if arg.endswith((".onnx", ".npy", ".json", ".svg", ".png")) else arg for arg in args]
    result = CliRunner().invoke(app, here)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def prune(folder: Path, *args: str) -> dict:
    return json.loads(edgec(folder, "prune", "net.onnx", "-o", "small.onnx", "--json", *args))


def test_sensitivity_writes_report_and_curves(folder: Path) -> None:
    report = SensitivityReport.load(folder / "sens.json")
    assert list(report.groups) == ["conv_0", "conv_3", "conv_12", "conv_18", "conv_20", "conv_29", "conv_38"]
    assert report.baseline == 0
    assert (folder / "curves.svg").read_text().count("<polyline") >= 7
    assert not (folder / "sens.jsonl").exists()


def test_accepted_loss_is_kept(folder: Path) -> None:
    result = prune(folder, "--data", "data.npy", "--max-loss", "0.3", "--sensitivity", "sens.json")
    assert 0 < result["after"] <= 0.3
    assert result["macs"][1] < result["macs"][0]
    onnx.checker.check_model(str(folder / "small.onnx"), full_check=True)


@pytest.mark.parametrize(("goal", "what"), [("--target-macs", "macs"), ("--target-size", "weight_bytes")])
def test_budget_is_reached(folder: Path, goal: str, what: str) -> None:
    result = prune(folder, "--data", "data.npy", goal, "0.6", "--sensitivity", "sens.json")
    before, after = result[what]
    assert 0.5 < after / before <= 0.6


def test_less_time_on_a_board_is_reached_by_its_estimate(folder: Path) -> None:
    result = prune(
        folder, "--data", "data.npy", "--target-latency", "0.7", "--sensitivity", "sens.json", "--target", "rpi4"
    )
    seconds = [estimated(folder / name, "rpi4") for name in ("net.onnx", "small.onnx")]
    assert 0.55 < seconds[1] / seconds[0] <= 0.7
    assert all(kept % 4 == 0 for _, kept in result["groups"].values())


def estimated(path: Path, name: str) -> float:
    """Return the seconds that edgec expects of a model on a board, in canonical form."""
    board = load_board(name)
    profile = registry.load("targets", board.backend)().profile(board)
    return sum(profile.estimate(layer_costs(prepare(fix_shapes(load(path).model, {}))), "fp32"))


def test_one_ratio_needs_no_data_without_repair(folder: Path) -> None:
    result = prune(folder, "--ratio", "0.5", "--criterion", "fpgm", "--no-repair", "--exclude", "conv_18")
    assert result["groups"]["conv_3"] == [64, 32]
    assert "conv_18" not in result["groups"]
    assert result["after"] is None


def test_a_saved_plan_gives_the_same_model(folder: Path) -> None:
    prune(folder, "--ratio", "0.25", "--criterion", "l1", "--no-repair", "--save-plan", "plan.json")
    first = (folder / "small.onnx").read_bytes()
    prune(folder, "--plan", "plan.json", "--criterion", "l2", "--no-repair")
    assert (folder / "small.onnx").read_bytes() == first


def test_widths_suit_the_target(folder: Path) -> None:
    result = prune(folder, "--ratio", "0.3", "--criterion", "l1", "--no-repair", "--target", "jetson-orin-nano")
    assert result["groups"]
    assert all(kept % 8 == 0 for _, kept in result["groups"].values())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "exactly one goal, not none"),
        (("--ratio", "0.5", "--max-loss", "1"), "exactly one goal, not max_loss and ratio"),
        (("--ratio", "1.5"), "--ratio"),
        (("--max-loss", "inf"), "--max-loss"),
        (("--ratio", "0.5"), "needs data"),
        (("--ratio", "0.5", "--criterion", "l1"), "the repair needs data"),
        (("--max-loss", "0.1"), "needs data"),
        (("--ratio", "0.5", "--include", "konv*"), "matches no layer"),
        (("--target-latency", "0.5", "--data", "data.npy", "--sensitivity", "sens.json"), "needs a board"),
        (("--plan", "none.json", "--ratio", "0.5"), "a plan and ratio"),
        (("--plan", "none.json", "--no-repair"), "--save-plan. writes one"),
        (("--ratio", "0.5", "--save-plan", "/nowhere/plan.json"), "no folder /nowhere"),
        (("--ratio", "0.5", "--criterion", "os:getcwd", "--no-repair"), "criterion os:getcwd failed on the filters"),
        (("--ratio", "0.5", "--criterion", "l3", "--no-repair"), "unknown criterion 'l3'"),
        (
            ("--max-loss", "1", "--data", "data.npy", "--sensitivity", "sens.json", "--criterion", "l1"),
            "by criterion obs, not l1",
        ),
        (
            ("--max-loss", "1", "--data", "data.npy", "--sensitivity", "sens.json", "--no-repair"),
            "was measured with repair",
        ),
        (("--target-macs", "0.01", "--data", "data.npy", "--sensitivity", "sens.json"), "cannot be reduced to 1%"),
    ],
)
def test_refusals(folder: Path, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        prune(folder, *args)


def test_a_report_of_some_groups_is_not_for_all(folder: Path) -> None:
    report = SensitivityReport.load(folder / "sens.json")
    part = report.model_copy(update={"groups": {"conv_3": report.groups["conv_3"]}})
    part.save(folder / "part.json")
    with pytest.raises(BadOption, match=r"lacks 6 of 7 groups, e\.g\. 'conv_0'"):
        prune(folder, "--data", "data.npy", "--max-loss", "1", "--sensitivity", "part.json")


def test_a_report_that_was_spoilt_is_refused(folder: Path) -> None:
    text = json.loads((folder / "sens.json").read_text())
    text["groups"]["conv_3"]["order"] = [0, 1, 2]
    (folder / "spoilt.json").write_text(json.dumps(text))
    with pytest.raises(BadOption, match=r"spoilt.json: groups.conv_3: .*each of 64 units exactly once"):
        prune(folder, "--data", "data.npy", "--max-loss", "1", "--sensitivity", "spoilt.json")


def test_a_wrong_metric_leaves_no_journal_behind(folder: Path) -> None:
    with pytest.raises(BadOption, match="unknown metric 'bogus'"):
        edgec(folder, "sensitivity", "net.onnx", "--data", "data.npy", "--metric", "bogus", "-o", "wrong.json")
    assert not (folder / "wrong.jsonl").exists()


def test_layer_names_stay_whole_in_a_narrow_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = SensitivityReport.load(folder / "sens.json")
    long = "/head/neck_32/neck_32.0/pointwise/conv/Conv"
    monkeypatch.setenv("COLUMNS", "40")
    show(report.model_copy(update={"groups": {long: report.groups["conv_3"]}}))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if long in line]
    assert row.split()[1] == "64"


def test_nothing_removed_is_said(folder: Path) -> None:
    said = edgec(folder, "prune", "net.onnx", "-o", "same.onnx", "--ratio", "0.01", "--criterion", "l1", "--no-repair")
    assert "Nothing was removed" in said


def test_the_model_itself_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(BadOption, match="is the model itself"):
        edgec(folder, "prune", "net.onnx", "-o", "net.onnx", "--ratio", "0.5", "--no-repair", "--criterion", "l1")


def test_the_same_from_python(folder: Path) -> None:
    data = np.load(folder / "data.npy")
    model, here = folder / "net.onnx", Measuring(folder / "data.npy", workers=0)
    seen: list[edgec_api.Progress] = []
    report = edgec_api.sensitivity(model, measuring=here, progress=seen.append)
    assert seen[-1] == "measure 63/63"
    assert (seen[-1].done, seen[-1].total) == (63, 63)
    assert report == SensitivityReport.load(folder / "sens.json")
    pruned = edgec_api.prune(model, measuring=here, report=report, target_macs=0.6)
    assert pruned.cost_after.macs <= 0.6 * pruned.cost_before.macs
    assert pruned.loss is not None
    (output,) = Reference(pruned.model).run({inputs_of(pruned.model)[0].name: data[:1]}).values()
    assert np.isfinite(output).all()
    with pytest.raises(BadOption, match="pruning: unknown setting 'target_mac'"):
        edgec_api.prune(model, measuring=here, target_mac=0.6)


@pytest.mark.parametrize("lines", [2, 4])
def test_ctrl_c_ends_without_a_traceback_also_while_workers_start(folder: Path, tmp_path: Path, lines: int) -> None:
    journal = tmp_path / "sens.jsonl"
    np.save(tmp_path / "much.npy", np.zeros((100, 3, 32, 32), np.float32))  # seconds of work to interrupt
    command = [
        "env", "--default-signal=INT",  # these tests may be a job in the background, and such ignore Ctrl-C
        Path(sys.executable).parent / "edgec", "sensitivity", folder / "net.onnx", "--data", tmp_path / "much.npy",
        "--workers", "2", "-o", tmp_path / "sens.json",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert lines < 4 or "Interrupted: what was measured is kept" in said
    assert process.returncode == 130
    assert journal.exists()


def test_in_the_background_ctrl_c_is_for_others(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "some.npy", np.zeros((40, 3, 32, 32), np.float32))
    command = [
        "env", "--ignore-signal=INT",
        Path(sys.executable).parent / "edgec", "sensitivity", folder / "net.onnx", "--data", tmp_path / "some.npy",
        "--workers", "1", "-o", tmp_path / "sens.json", "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True)
    times = 0
    while process.poll() is None and not (tmp_path / "sens.jsonl").exists():
        time.sleep(0.02)
    while process.poll() is None and (tmp_path / "sens.jsonl").exists():
        os.killpg(process.pid, signal.SIGINT)
        times += 1
        time.sleep(0.05)
    assert times
    assert process.wait(60) == 0
    assert (tmp_path / "sens.json").exists()
