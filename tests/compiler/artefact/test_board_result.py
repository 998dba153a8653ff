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
from edgec.artefact.board_result import import_result, nodes_of
from edgec.errors import BadArtefact, CannotRunHere, VerificationFailed
from edgec.model.graph import label
from edgec.model.load import load
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


def test_times_of_layers_are_kept_with_the_nodes_they_compute(artefact: Artefact) -> None:
    outcome = run_on_board(artefact.folder, *QUICK, "--layers")
    assert outcome.code == 0
    assert "ms  Reformatting CopyNode" in outcome.stdout
    import_result(artefact, artefact.folder / "result.json")
    kernels = evidence.read(artefact.folder)["kernels"]["kernels"]
    nodes = [label(node) for node in load(artefact.folder / "model.onnx").model.graph]
    assert kernels[0]["nodes"] == []
    assert [name for kernel in kernels for name in kernel["nodes"]] == nodes
    assert kernels[-1]["nodes"] == nodes[-2:]
    assert kernels[0]["ms"] == pytest.approx(0.001)
    assert sum(kernel["macs"] for kernel in kernels) > 0
    edgec.Report(artefact).save(artefact.folder.parent / "report.html")
    run_on_board(artefact.folder, *QUICK)
    import_result(artefact, artefact.folder / "result.json")
    assert "kernels" not in evidence.read(artefact.folder)


@pytest.mark.parametrize(
    ("layer", "nodes"),
    [
        ("conv1", ("conv1",)),
        ("/a/Conv + /a/Relu", ("/a/Conv", "/a/Relu")),
        ("/a/Conv || conv1", ("/a/Conv", "conv1")),
        ("Reformatting CopyNode for Input Tensor 0 to conv1", ()),
        ("{ForeignNode[/a/Conv.../a/Add]}", ("/a/Conv", "/a/Relu", "/a/Add")),
        ("PWN(/a/Relu)", ("/a/Relu",)),
        ("PWN(PWN(/a/Relu), /a/Add)", ("/a/Relu", "/a/Add")),
        ("copy of shapes", ()),
    ],
)
def test_nodes_are_found_in_the_names_of_tensorrts_layers(layer: str, nodes: tuple[str, ...]) -> None:
    order = {"conv1": 0, "/a/Conv": 1, "/a/Relu": 2, "/a/Add": 3}
    assert nodes_of(layer, order) == nodes


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
        ('{"schema": 1, "status": "ok"}', "engine is missing"),
    ],
)
def test_a_damaged_result_is_refused(artefact: Artefact, tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadArtefact, match=said):
        import_result(artefact, path)
