"""`matrix`: one table over models, boards and precisions, which is made only once."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import edgec
from edgec.api import matrix as module
from edgec.cli import app
from edgec.errors import BadOption, EdgecError, MissingDependency
from tests.support.models import proto, saved

MODEL = "g (float[1, 2] x) => (float[1, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { y = MatMul (x, w) }"
BOARDS = ["host", "jetson-orin-nano", "jetson-tx2"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(proto(MODEL), tmp_path / "tiny.onnx")


def test_each_cell_is_an_artefact_or_has_a_reason(model: Path, tmp_path: Path) -> None:
    table = edgec.matrix(
        [model], targets=BOARDS, precisions=["fp32", "int8"], output=tmp_path / "table", peers=["onnxruntime"]
    )
    cells = {(cell.target, cell.precision): cell for cell in table.cells}
    assert len(cells) == 6
    host = cells["host", "fp32"]
    assert (host.verdict, host.time) == ("compiled", "measured")
    assert host.error is not None and host.error <= 1e-6
    assert host.ms is not None and set(host.peers) == {"onnxruntime"}
    assert edgec.Artefact.open(host.artefact).size == host.size
    assert cells["jetson-tx2", "fp32"].time == "estimated"
    assert cells["jetson-tx2", "int8"].verdict == "refused"
    assert "has no INT8" in cells["jetson-tx2", "int8"].reason
    assert table.ok and repr(table) == "<Matrix: 3 compiled, 3 refused, 0 wrong>"


def test_the_table_is_there_in_four_forms(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    table = edgec.matrix([model], targets=BOARDS[1:], precisions=["fp32", "int8"], output=folder)
    assert json.loads((folder / "matrix.json").read_text()) == json.loads(json.dumps(table.as_json()))
    rows = list(csv.DictReader((folder / "matrix.csv").open()))
    assert [row["verdict"] for row in rows] == ["compiled", "refused", "compiled", "refused"]
    assert "refused (1)" in (folder / "matrix.md").read_text()
    assert '<td class="left">refused (2)</td>' in (folder / "matrix.html").read_text()


def test_a_later_run_makes_only_what_is_new(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    inner = module.compile

    def counted(path: str, *, target: str, **options: object) -> edgec.Artefact:
        made.append(f"{target} {options['precision']}")
        return inner(path, target=target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compile", counted)
    for precisions in (["fp32"], ["fp32", "fp16"]):
        edgec.matrix([model], targets=BOARDS[1:2], precisions=precisions, output=tmp_path / "table")
    assert made == ["jetson-orin-nano fp32", "jetson-orin-nano fp16"]
    saved(proto(MODEL.replace("3, 4", "3, 5")), model)  # another model makes the cell anew
    edgec.matrix([model], targets=BOARDS[1:2], output=tmp_path / "table")
    assert made[2:] == ["jetson-orin-nano fp32"]


def test_settings_of_one_model(tmp_path: Path) -> None:
    path = saved(proto(MODEL.replace("[1, 2]", "[n, 2]")), tmp_path / "open.onnx")
    given = {str(path): {"shapes": {"x": (3, 2)}}}
    table = edgec.matrix(given, targets=BOARDS[1:2], output=tmp_path / "table")
    assert table.cells[0].verdict == "compiled"
    assert edgec.Artefact.open(table.cells[0].artefact).golden_inputs()["x"].shape == (3, 2)


def test_data_gives_a_metric_of_what_this_machine_runs(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.ones((4, 2), np.float32))
    settings = {"shapes": {"x": (1, 2)}, "data": str(tmp_path / "data.npy")}
    saved(proto(MODEL.replace("[1, 2]", "[n, m]", 1)), model)
    (cell,) = edgec.matrix({str(model): settings}, targets=["host"], output=tmp_path / "table").cells
    assert (cell.verdict, cell.metric) == ("compiled", "output-error")
    assert cell.value is not None and cell.value < 1e-5


def test_data_without_the_labels_of_its_metric_is_no_refusal(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.ones((4, 2), np.float32))
    settings = {"data": str(tmp_path / "data.npy"), "metric": "top1"}
    with pytest.raises(EdgecError, match="label"):
        edgec.matrix({str(model): settings}, targets=["host"], output=tmp_path / "table")


def test_a_missing_peer_is_told_before_the_long_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match="OpenVINO is not installed"):
        edgec.matrix([model], targets=["host"], output=tmp_path / "table", peers=["openvino"])
    assert not (tmp_path / "table").exists()


def test_mistakes_are_told_before_the_long_work(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "table"
    other = saved(proto(MODEL), tmp_path / "sub.onnx").rename(tmp_path / "x.onnx")
    (tmp_path / "sub").mkdir()
    twin = saved(proto(MODEL), tmp_path / "sub" / "tiny.onnx")
    for wrong, message in (
        ({"targets": ["rpi44"]}, "rpi44"),
        ({"targets": ["host"], "precisions": ["int9"]}, "unknown precision 'int9'"),
        ({"targets": ["host"], "peers": ["ncn"]}, "unknown peer 'ncn'"),
    ):
        with pytest.raises(BadOption, match=message):
            edgec.matrix([model, other], output=output, **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="two models are named tiny"):
        edgec.matrix([model, twin], targets=["host"], output=output)
    assert not output.exists()


def test_a_peer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgec.reference.peers import open_vino

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match="OpenVINO is not installed"):
        open_vino(proto(MODEL).SerializeToString(), ["y"])


def test_the_command(model: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tiny.toml"
    settings.write_text("seed = 3\n")
    line = [
        "matrix",
        f"{model}={settings}",
        "-t",
        "jetson-tx2",
        "--precisions",
        "fp32,int8",
        "-o",
        str(tmp_path / "out"),
    ]
    ran = CliRunner().invoke(app, [*line, "-q"])
    assert ran.exit_code == 0, ran.output
    assert "refused (1)" in ran.output and "(1) precision int8 is not available on jetson-tx2" in ran.output
    cells = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert [cell["verdict"] for cell in cells] == ["compiled", "refused"]
    assert json.loads((tmp_path / "out" / "tiny.jetson-tx2.fp32" / "manifest.json").read_text())["options"]["seed"] == 3


def test_wrong_outputs_are_a_verdict(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise edgec.errors.VerificationFailed("y differs")  # type: ignore[attr-defined]

    monkeypatch.setattr(module, "compile", wrong)
    table = edgec.matrix([model], targets=["host"], output=tmp_path / "table")
    assert not table.ok and table.cells[0].reason == "y differs"
