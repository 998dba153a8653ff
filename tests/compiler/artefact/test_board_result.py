"""result.json of a board joins the artefact it belongs to, and no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx_ir as ir
import pytest

import edgec
from edgec.artefact import evidence
from edgec.artefact.artefact import Artefact
from edgec.artefact.board_result import import_result
from edgec.errors import BadArtefact, CannotRunHere, VerificationFailed
from tests.support.tensorrt_board import run_on_board, small_model

QUICK = ("--runs", "5", "--warmup", "0")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:

    network = ir.to_proto(small_model())
    return edgec.compile(network, target="jetson-tx2", output=tmp_path_factory.mktemp("board") / "small.tx2").folder


@pytest.fixture
def artefact(compiled: Path, tmp_path: Path) -> Artefact:
    return Artefact.open(shutil.copytree(compiled, tmp_path / "small.tx2"))


def test_what_was_measured_is_kept(artefact: Artefact) -> None:
    assert run_on_board(artefact.folder, *QUICK).code == 0
    import_result(artefact, artefact.folder / "result.json")
    kept = evidence.read(artefact.folder)
    assert kept["latency"]["where"] == "the board, TensorRT 8.2.1.8 on sm_62"
    assert kept["latency"]["runs"] == 5
    assert set(kept["board"]["latency_ms"]) == {"end_to_end", "copy_in", "compute", "copy_out"}
    assert kept["board"]["throughput_per_s"] > 0
    assert [output["name"] for output in kept["verification"]["comparison"]["outputs"]] == ["y", "best"]
    Artefact.open(artefact.folder)  # what lies in the folder now is no alteration


def test_wrong_outputs_are_kept_and_told(artefact: Artefact, capsys: pytest.CaptureFixture[str]) -> None:
    from edgec.cli.import_result import show

    run_on_board(artefact.folder, *QUICK)
    import_result(artefact, artefact.folder / "result.json")
    run_on_board(artefact.folder, *QUICK, STAND_IN_FAULT="wrong outputs")
    result = import_result(artefact, artefact.folder / "result.json")
    assert "latency" not in evidence.read(artefact.folder)
    with pytest.raises(VerificationFailed, match="best: max abs error"):
        show(artefact, result, json=False)
    assert "TensorRT 8.2.1.8" in capsys.readouterr().out


def test_a_result_of_another_artefact_is_refused(artefact: Artefact) -> None:
    run_on_board(artefact.folder, *QUICK)
    path = artefact.folder / "result.json"
    result = json.loads(path.read_text())
    result["engine"]["model_sha256"] = "0" * 64
    path.write_text(json.dumps(result))
    with pytest.raises(BadArtefact, match="another artefact"):
        import_result(artefact, path)
    assert evidence.read(artefact.folder) == {}


def test_a_failure_on_the_board_is_told_in_its_words(artefact: Artefact) -> None:
    run_on_board(artefact.folder, STAND_IN_FAULT="parser")
    with pytest.raises(CannotRunHere, match=r"on the board: TensorRT 8\.2\.1\.8 cannot parse the model"):
        import_result(artefact, artefact.folder / "result.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "schema None"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1, "status": "ok"}', "engine: Field required"),
    ],
)
def test_a_damaged_result_is_refused(artefact: Artefact, tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadArtefact, match=said):
        import_result(artefact, path)
