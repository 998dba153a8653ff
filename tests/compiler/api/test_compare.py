"""`compare`: planted losses, slowdowns and refusals break a limit; noise does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

import edgec
from edgec.artefact import evidence
from edgec.errors import BadOption

ROOT = Path(__file__).parents[3]
BOARD = str(ROOT / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
MODEL = '<ir_version: 8, opset_import: ["": 17]> g (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }'


def evaluated(value: float, data: str = "pictures", higher: bool = True) -> dict[str, Any]:
    result = {"value": value, "higher_is_better": higher, "details": {}}
    return {"data": data, "samples": 100, "where": "native", "metrics": {"top1": result}}


def timed(median: float, minimum: float, threads: int = 2) -> dict[str, Any]:
    return {
        "where": "native", "threads": threads, "runs": 20, "median": median, "p90": 2 * median, "minimum": minimum
    }  # fmt: skip


def write(folder: Path, name: str, result: dict[str, Any]) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result))
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edgec", "compare", *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("new", "higher", "ok"), [(0.795, True, True), (0.78, True, False), (0.81, False, True)])
def test_a_loss_beyond_the_limit(tmp_path: Path, new: float, higher: bool, ok: bool) -> None:
    one = write(tmp_path, "old", evaluated(0.8, higher=higher))
    other = write(tmp_path, "new", evaluated(new, higher=higher))
    assert edgec.compare(one, other, max_loss=0.015).ok is ok


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_slowdown_but_a_slowdown_is(tmp_path: Path, seed: int) -> None:
    """Interruptions lengthen some runs: they move the median, the minimum hardly."""
    rng = np.random.default_rng(seed)
    runs = 10 * (1 + 0.1 * rng.exponential(size=(2, 50)))
    old, new = (timed(float(np.median(each)), float(each.min())) for each in runs)
    slow = timed(1.2 * new["median"], 1.2 * new["minimum"])
    one = write(tmp_path, "old", old)
    assert edgec.compare(one, write(tmp_path, "new", new), max_slowdown=0.03).ok
    assert not edgec.compare(one, write(tmp_path, "slow", slow), max_slowdown=0.03).ok


def test_what_was_measured_differently_is_not_compared(tmp_path: Path) -> None:
    one, other = write(tmp_path, "a", timed(1, 1)), write(tmp_path, "b", timed(1, 1, threads=4))
    with pytest.raises(BadOption, match=r"2 threads.*4 threads"):
        edgec.compare(one, other, max_slowdown=0.03)
    assert "cannot be compared" in edgec.compare(one, other).notes[0]
    one, other = write(tmp_path, "a", evaluated(0.5)), write(tmp_path, "b", evaluated(0.5, "others"))
    with pytest.raises(BadOption, match=r"pictures.*others"):
        edgec.compare(one, other, max_loss=0)
    with pytest.raises(BadOption, match="no figure in common"):
        edgec.compare(one, write(tmp_path, "c", timed(1, 1)))


def test_a_node_that_the_board_refuses_anew(tmp_path: Path) -> None:
    one = onnx.parser.parse_model(MODEL)
    other = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[1, 2, 2] x) => (float[1] y) { y = Det (x) }'
    )
    assert edgec.compare(one, one, target="jetson-tx2").ok
    changes = edgec.compare(one, other, target="jetson-tx2")
    assert not changes.ok
    assert "newly refused" in changes.markdown()


def test_artefacts_by_their_evidence(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(MODEL)
    made = [edgec.compile(model, target=BOARD, output=tmp_path / name) for name in ("old", "new")]
    for artefact in made:
        artefact.verify(keep=True)
        evidence.keep(artefact.folder, "evaluation", evaluated(0.5))
    changes = edgec.compare(made[0].folder, made[1].folder, max_loss=0)
    assert changes.ok
    assert [row.name for row in changes.rows] == ["size", "error", "top1"]
    evidence.keep(made[1].folder, "evaluation", evaluated(0.4))
    assert not edgec.compare(made[0], made[1], max_loss=0.05).ok


def test_the_command(tmp_path: Path) -> None:
    one, other = write(tmp_path, "old", timed(10, 9)), write(tmp_path, "new", timed(11, 10))
    said = command(one, other, "--max-slowdown", "3%", "--markdown")
    assert said.returncode == 1
    assert "| time, median | 10.00 ms | 11.00 ms | +10.0% | 10.0% slower, accepted 3.0% |" in said.stdout
    assert command(one, other, "--max-slowdown", "20%").returncode == 0
    assert json.loads(command(one, other, "--json").stdout)["ok"] is True
    assert command(one, other, "--max-slowdown", "much").returncode == 2
    assert command(one, tmp_path / "absent.json").returncode == 2


def test_the_jobs_for_ci_run_the_script_that_is_there() -> None:
    folder = ROOT / "examples" / "ci"
    github = yaml.safe_load((folder / "github.yml").read_text())
    steps = [step["run"] for step in github["jobs"]["compare"]["steps"] if "run" in step]
    gitlab = yaml.safe_load((folder / "gitlab.yml").read_text())
    for lines in (steps, gitlab["edgec"]["script"]):
        assert any("ci/edgec.sh" in line for line in lines)
        for line in lines:
            subprocess.run(["sh", "-n", "-c", line], check=True)


def test_the_script_for_ci_compares_with_the_main_branch(tmp_path: Path) -> None:
    """The command itself is replaced by one that keeps what it is called with and fails in `compare` if it is told."""
    stand_in = tmp_path / "bin" / "edgec"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@" >> calls\n[ "$1" != compare ] || { echo table; exit ${BROKEN:-0}; }\n')
    stand_in.chmod(0o755)
    script = [ROOT / "examples" / "ci" / "edgec.sh", "model.onnx", "baseline", "summary.md"]
    environment = os.environ | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    first = subprocess.run(script, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "nothing is compared" in first.stdout
    (tmp_path / "baseline").mkdir()
    for code in (0, 1):
        ran = subprocess.run(
            script, cwd=tmp_path, env=environment | {"BROKEN": str(code)}, check=False, capture_output=True
        )
        assert ran.returncode == code
    assert (tmp_path / "summary.md").read_text() == "table\n"
    assert "compare baseline artefact --markdown --max-slowdown 3%" in (tmp_path / "calls").read_text()
