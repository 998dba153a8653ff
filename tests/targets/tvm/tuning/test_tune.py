"""`edgec tune` and `edgec compile --tuned` from end to end on this machine."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import edgec
from edgec.cli import app
from edgec.cli.arguments import parse_duration
from edgec.errors import BadOption, EdgecError
from edgec.record import Record
from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import Lowering
from edgec.targets.tvm.tuning.database import Database, Measurement
from edgec.targets.tvm.tuning.identity import schedule_version, target_key
from edgec.targets.tvm.tuning.plot import draw_gains
from edgec.targets.tvm.tuning.task import Task, make_tasks
from edgec.targets.tvm.tuning.tuned import read_tuned
from tests.support.models import model, random_weights
from tests.targets.tvm.tuning.test_database import measured
from tests.targets.tvm.tuning.test_search import ONCE, WORKLOADS

NETWORK = """
small (float[1, 16, 20, 20] x) => (float[1, 32, 20, 20] features)
{
  p = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (x)
  c = Conv (p, w, b)
  features = Relu (c)
}
"""
WORKLOAD = "conv 16x20x20 > 32x20x20, 1x1: relu"


def small() -> ir.Model:
    return model(NETWORK, random_weights(w=(32, 16, 1, 1), b=(32,)))


def two_choices() -> list[dict[str, Any]]:
    """Return the rule's choice on this machine, and what it would rather have next."""
    host = load_board("host")
    lowering = Lowering(to_relax(small()), cpu_model(host), llvm_target(resolve(host)))
    ((workload, choices),) = lowering.workloads().items()
    assert workload.key == WORKLOAD
    return [choice.as_json() for choice in choices[:2]]


def record(folder: Path, **others: object) -> Path:
    """Return a database that says a choice is faster."""
    facts = {"target": target_key(load_board("host"), "fp32"), "schedules": schedule_version()}
    Database(folder / "db").append([measured(WORKLOAD, 0.9, **(facts | others))])
    return folder / "db"


def test_a_confirmed_choice_is_compiled_and_named_in_the_manifest(tmp_path: Path) -> None:
    by_rule, choice = two_choices()
    database = record(tmp_path, baseline=by_rule, choice=choice)
    artefact = edgec.compile(small(), target="host", output=tmp_path / "tuned", tuned=database, cache=False)
    assert artefact.manifest.runtime["tuned"] == {WORKLOAD: choice}
    assert artefact.verify().ok
    plain = edgec.compile(small(), target="host", output=tmp_path / "plain")
    assert "tuned" not in plain.manifest.runtime


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"schedules": "older"}, "1 measurements are stale, as they were made with other schedules: tune again"),
        ({"baseline": None}, "1 measurements are stale, as they were made with other schedules: tune again"),
        ({"target": "another board"}, "it contains no measurements for host fp32"),
    ],
)
def test_what_was_measured_otherwise_is_ignored_with_a_word(tmp_path: Path, others: dict[str, Any], said: str) -> None:
    notes = Record()
    assert read_tuned(record(tmp_path, **others), load_board("host"), "fp32", notes) == {}
    assert said in notes.refusals[0].reason


def test_a_missing_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--tuned .*no such file"):
        edgec.compile(small(), target="host", output=tmp_path / "out", tuned=tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_a_back_end_that_has_nothing_to_tune_refuses_a_database(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"on jetson-tx2: only CPU boards are tuned"):
        edgec.compile(small(), target="jetson-tx2", output=tmp_path / "out", tuned=tmp_path / "tune.db")


@pytest.mark.slow
def test_tuning_this_machine_fills_a_database_and_says_what_was_gained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgec.targets.tvm.tuning.tune.PEAK_S", 0.05)
    monkeypatch.setattr("edgec.targets.tvm.tuning.task.NEAR_PEAK", math.inf)  # however busy the machine is
    monkeypatch.setattr("edgec.targets.tvm.tuning.search.SECONDS", {"first": 0.1, "final": 0.1, "confirmed": 0.1})
    source, database = tmp_path / "small.onnx", tmp_path / "tune.db"
    onnx.save(ir.to_proto(small()), source)
    arguments = ["tune", str(source), "-o", str(database), "--trials", "1", "--threads", "1"]
    done = CliRunner().invoke(app, [*arguments, "--json", "--plot", str(tmp_path / "gain.svg")])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [layer["workload"] for layer in said["layers"]] == [WORKLOAD]
    assert 0 < said["ratio"] <= 1
    assert WORKLOAD[:20] in (tmp_path / "gain.svg").read_text().replace("&gt;", ">")
    assert {each.workload for each in Database(database).measurements} == {WORKLOAD}


def test_the_database_is_there_before_anything_is_measured_and_can_be_compiled_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgec.targets.tvm.tuning.tune.tune_network", stopped)
    with pytest.raises(KeyboardInterrupt):
        edgec.tune(small(), target="host", database=tmp_path / "tune.db")
    with pytest.raises(BadOption, match=r"cannot write .*nowhere"):
        edgec.tune(small(), target="host", database=tmp_path / "nowhere" / "tune.db")
    artefact = edgec.compile(small(), target="host", output=tmp_path / "out", tuned=tmp_path / "tune.db")
    assert artefact.manifest.runtime["tuned"] == {}


def test_a_busy_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    with pytest.raises(EdgecError):
        edgec.tune(tmp_path / "absent.onnx", target="host", database=tmp_path / "tune.db", progress=said.append)
    assert said[0] == "this machine is busy (load 99.0): measured gains are less certain"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--time") == seconds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tune", "m.onnx", "--time", "soon"], "--time 'soon' is not a duration"),
        (["tune", "m.onnx", "-t", "rpi4"], "target rpi4 needs --tracker"),
        (["tune", "m.onnx", "-t", "jetson-tx2"], "only CPU boards are tuned"),
        (["tune", "merge"], "merge: no database is given"),
        (["tune", "m.onnx", "--plot", "gain.pdf"], "drawings are written as .svg or .png"),
    ],
)
def test_wrong_calls_say_what_to_do(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, BadOption)
    assert said in str(done.exception)


def test_databases_merge_on_the_command_line(tmp_path: Path) -> None:
    one = record(tmp_path)
    done = CliRunner().invoke(app, ["tune", "merge", str(one), str(one), "-o", str(tmp_path / "all")])
    assert done.exit_code == 0
    assert done.stdout.strip().endswith("1 measurements")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_gains_are_drawn(tmp_path: Path, suffix: str) -> None:
    tasks: list[Task] = make_tasks(WORKLOADS, dict.fromkeys(ONCE, 0.25), ONCE, 1.0, 1e6, 4)
    tasks[0].note(tasks[0].choices[1], "confirmed", 0.5)
    draw_gains(tasks, tmp_path / f"gain.{suffix}")
    assert (tmp_path / f"gain.{suffix}").stat().st_size > 500
    with pytest.raises(BadOption, match=r"\.svg or \.png"):
        draw_gains(tasks, tmp_path / "gain.pdf")


def test_a_measurement_reads_as_it_was_written() -> None:
    each = measured("w", None, seconds=None, by_rule=None)
    assert Measurement.model_validate_json(each.model_dump_json()) == each
