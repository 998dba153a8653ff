"""What a new user meets: the bare command, its version, progress in a log, and the next command after `compile`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import edgec
from edgec.artefact.artefact import Artefact
from edgec.cli import _guarded
from edgec.cli.console import PlainLines
from edgec.cli.next_step import next_steps
from edgec.errors import EdgecError
from edgec.extras import install
from edgec.progress import Progress

BOARD = str(Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
MODEL = onnx.parser.parse_model("""
<ir_version: 8, opset_import: ["" : 13]>
small (float[1, 3, 8, 8] image) => (float[1, 3, 8, 8] y)
{ y = Relu (image) }
""")


def edgec_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgec", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)


def test_without_arguments_it_says_what_to_do_first(tmp_path: Path) -> None:
    said = edgec_command(cwd=tmp_path).stdout
    for command in ("edgec doctor", "edgec check MODEL.onnx", "edgec compile MODEL.onnx"):
        assert command in said


def test_the_version_comes_from_one_place(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert edgec.__version__ == version("edgec")
    assert edgec_command("--version", cwd=tmp_path).stdout == f"edgec {edgec.__version__}\n"


def test_what_is_missing_is_installed_by_a_command_that_needs_no_release() -> None:
    assert install("eval").startswith("pip install 'faster-coco-eval")
    said = install("tvm")
    assert "'apache-tvm==" in said.replace(">=", "==") and "tornado" in said  # the extra `tvm` takes in `tune`
    assert "edgec" not in said


def test_data_that_is_not_there_is_noticed_before_the_model_is_read(tmp_path: Path) -> None:
    with pytest.raises(EdgecError, match="data nowhere: no such file"):
        edgec.compile("absent.onnx", target="host", data="nowhere")


def test_an_interrupted_command_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def stopped() -> None:
        raise SystemExit(130)

    monkeypatch.setattr(sys, "argv", ["edgec", "prune", "model.onnx"])
    with pytest.raises(SystemExit):
        _guarded(stopped)
    assert "same command continues" in capsys.readouterr().err


def test_dir_has_all_that_is_public_and_nothing_else() -> None:
    public = {name for name in dir(edgec) if not name.startswith("_")}
    assert public == set(edgec.__all__)
    assert "__version__" in dir(edgec)
    for name in dir(edgec):
        getattr(edgec, name)


def test_a_log_gets_each_stage_as_it_begins(tmp_path: Path) -> None:
    onnx.save(MODEL, tmp_path / "small.onnx")
    process = edgec_command("compile", "small.onnx", "--target", BOARD, cwd=tmp_path)
    lines = process.stderr.splitlines()
    assert lines[:2] == ["load", "reference"]
    assert process.stdout.splitlines()[-1].startswith("next: edgec ")


def test_what_is_counted_is_told_every_few_seconds() -> None:
    lines: list[str] = []
    now = [0.0]
    listener = PlainLines(lines.append, lambda: now[0])
    listener(Progress("load"))
    for done in range(1, 31):
        now[0] += 1
        listener(Progress("calibrate", done, 30))
    assert lines == ["load", "calibrate 1/30", "calibrate 11/30", "calibrate 21/30"]


@pytest.mark.parametrize(
    ("board", "expected"),
    [("jetson-tx2", "next: edgec deploy {} ssh://USER@BOARD"), (BOARD, "next: edgec verify {}")],
)
def test_the_next_command_fits_the_board(tmp_path: Path, board: str, expected: str) -> None:
    made = edgec.compile(MODEL, target=board, output=tmp_path / "made", verify=False)
    assert next_steps(made) == [expected.format(made.folder)]


def test_what_was_verified_is_measured_or_copied_next(tmp_path: Path) -> None:
    made = edgec.compile(MODEL, target=BOARD, output=tmp_path / "made")
    other = made.manifest.board.model_copy(update={"triple": "aarch64-linux-gnu"})
    manifest = made.manifest.model_copy(update={"board": other, "commands": {"Check it": "./check it"}})
    said = next_steps(Artefact(made.folder, manifest, made.verify()))
    assert said == [f"next: scp -r {made.folder} USER@BOARD: && ssh USER@BOARD 'cd made && ./check it'"]
