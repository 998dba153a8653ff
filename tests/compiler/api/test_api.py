"""The Python API: every function on a small network, what its result prints, what its listener and the log are told."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgec
from edgec.errors import BadOption
from edgec.measuring import MeasuringFields
from edgec.options import CompileFields
from edgec.pruning import PruneFields
from edgec.quantizing import QuantizeFields
from edgec.reference.session import Reference
from edgec.targets.tvm.tuning.search import Tuning
from edgec.validation import fields_of
from tests.passes.quantize_support import pictures, small
from tests.support.real_models import ROOT

BOARD = ROOT / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"
NETWORK = small()
PICTURES = pictures(6)
HERE = edgec.Measuring(PICTURES, workers=0)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> edgec.Artefact:
    return edgec.compile(NETWORK, target=str(BOARD), output=tmp_path_factory.mktemp("api") / "net")


def test_every_name_is_there_and_nothing_else_is_loaded_for_it() -> None:
    for name in edgec.__all__:
        assert getattr(edgec, name) is not None
    assert set(edgec.__all__) <= set(dir(edgec))
    code = "import sys, edgec; assert not {'numpy', 'onnx', 'pydantic', 'tvm'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main()\n{code}"], check=True, env={"PYTHONPATH": ""}
    )


def test_compile_verify_load_and_report(artefact: edgec.Artefact, tmp_path: Path) -> None:
    assert repr(artefact).startswith(f"<Artefact: {artefact.folder}, net for copy-board, fp32, ")
    assert repr(artefact.verify(keep=True)).startswith("<Verification: ok, error ")
    with edgec.load(artefact.folder) as runner:
        assert runner.run({"image": PICTURES[0].inputs["image"]})["found"].shape == (1, 6, 8, 8)
    report = edgec.Report(artefact)
    report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == report.html
    assert repr(report) == f"<Report of {artefact.folder}>"


def test_check() -> None:
    found = edgec.check(NETWORK, target="jetson-tx2")
    assert found.ok
    assert repr(found) == "<Legality: net on jetson-tx2, 17 supported, 0 rewritten, 0 refused>"


def test_inspect() -> None:
    found = edgec.inspect(NETWORK, target="jetson-tx2")
    assert repr(found).startswith("<Inspection: net, opset 18, 17 layers, ")
    assert found.seconds is not None
    assert f"{found.macs:,} MACs, {found.parameters:,} parameters, estimated time " in repr(found)
    with pytest.raises(BadOption, match="jetson-tx2 does not support precision fp7"):
        edgec.inspect(NETWORK, target="jetson-tx2", precision="fp7")


def test_evaluate_a_model_and_an_artefact(artefact: edgec.Artefact) -> None:
    said: list[edgec.Progress] = []
    found = edgec.evaluate(artefact, data=PICTURES, reference=NETWORK, progress=said.append)
    assert found.value < 1e-6
    assert repr(found).startswith("<Evaluation: output-error ")
    assert repr(found).endswith(" on 6 samples, onnxruntime>")
    assert said[-1] == "evaluate 6/6"
    assert edgec.evaluate(NETWORK, measuring=HERE, metrics=["output-error"], reference=NETWORK).value == 0
    with pytest.raises(BadOption, match="preprocess was fixed"):
        edgec.evaluate(artefact, data=PICTURES, preprocess=edgec.Preprocessing(layout="NHWC"))


def test_calibrate_then_quantize_with_the_table(tmp_path: Path) -> None:
    said: list[edgec.Progress] = []
    table = edgec.calibrate(NETWORK, measuring=HERE, calibrator="minmax", progress=said.append)
    assert said == ["load", "calibrate", *(f"calibrate {done}/6" for done in range(1, 7))]
    assert repr(table) == f"<CalibrationTable: {len(table.tensors)} tensors by minmax, asymmetric, 6 samples>"
    table.save(tmp_path / "scales.json")
    by_file, by_table = (
        edgec.quantize(NETWORK, data=PICTURES, metric="output-error", **given)
        for given in ({"scales": tmp_path / "scales.json"}, {"table": table})
    )
    assert by_file.loss == by_table.loss
    assert repr(by_table).startswith("<Quantization: 6 quantized layers, weights ")
    by_table.save(tmp_path / "small.onnx")
    onnx.checker.check_model(str(tmp_path / "small.onnx"), full_check=True)
    with pytest.raises(BadOption, match="has one of its own"):
        edgec.quantize(NETWORK, data=PICTURES, table=table, scheme="symmetric")


def test_sensitivity_then_prune_by_its_report(tmp_path: Path) -> None:
    report = edgec.sensitivity(NETWORK, measuring=HERE, criterion="l1")
    assert repr(report) == f"<SensitivityReport: {len(report.groups)} groups by l1, output-error 0 on 6 samples>"
    pruned = edgec.prune(NETWORK, measuring=HERE, report=report, criterion="l1", target_macs=0.8)
    assert pruned.cost_after.macs <= 0.8 * pruned.cost_before.macs
    assert repr(pruned).startswith(f"<Pruned: {len(pruned.plan.groups)} groups, MACs -")
    pruned.save(tmp_path / "small.onnx")
    feeds = {"image": PICTURES[0].inputs["image"]}
    saved = Reference(onnx.load(tmp_path / "small.onnx").SerializeToString()).run(feeds)
    np.testing.assert_array_equal(saved["scores"], Reference(pruned.model).run(feeds)["scores"])


def test_tune_is_for_boards_whose_schedules_are_chosen(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="only CPU boards are tuned"):
        edgec.tune(NETWORK, target=str(BOARD), database=tmp_path / "tune.db")
    assert repr(Tuning([], 0.002, trials=3)) == "<Tuning: 0 of 0 layers changed, 2 ms untuned, 2 ms tuned, 3 trials>"


def test_compile_quantizes_by_the_same_record_as_quantize(tmp_path: Path) -> None:
    common = {"target": "jetson-agx-orin", "precision": "int8"}
    nested = edgec.compile(
        NETWORK,
        output=tmp_path / "nested",
        measuring=edgec.Measuring(PICTURES, limit=4),
        quantize=edgec.QuantizeOptions(calibrator="minmax", exclude=("MatMul*",)),
        **common,
    )
    short = edgec.compile(
        NETWORK, output=tmp_path / "short", data=PICTURES, limit=4, calibrator="minmax",
        quantize={"exclude": ["MatMul*"]}, **common,
    )  # fmt: skip
    done = next(each for each in nested.manifest.passes if each.name == "quantize")
    assert done.changes[0] == "5 layers on integers, calibrated by minmax, 4 samples"
    assert nested.manifest == short.manifest
    with pytest.raises(BadOption, match="style runtime is not that of jetson-agx-orin"):
        edgec.compile(NETWORK, output=tmp_path / "x", data=PICTURES, quantize={"style": "runtime"}, **common)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": PICTURES, "measuring": HERE}, "data and measuring are given"),
        ({"data": PICTURES, "limit": 0}, "limit must be greater than or equal to 1, but is 0"),
        ({"data": 3}, "data must be a path, module:callable, or Samples"),
        ({"data": PICTURES, "callibrator": "kl"}, "unknown setting 'callibrator'\nDid you mean calibrator"),
    ],
)
def test_wrong_options_are_named(given: dict, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        edgec.quantize(NETWORK, **given)


@pytest.mark.parametrize(
    ("names", "record", "more"),
    [
        (MeasuringFields, edgec.Measuring, set()),
        (PruneFields, edgec.PruneOptions, set()),
        (QuantizeFields, edgec.QuantizeOptions, set()),
        (CompileFields, edgec.CompileOptions, {*fields_of(edgec.Measuring), "calibrator", "scales", "samples"}),
    ],
)
def test_what_a_call_takes_by_name_are_the_fields_of_its_record(names: type, record: type, more: set[str]) -> None:
    assert set(names.__annotations__) | {"target"} == {*fields_of(record), *more, "target"}


def test_what_is_done_is_logged_and_printed_only_where_asked(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, "edgec"):
        edgec.compile(NETWORK, target=str(BOARD), output=tmp_path / "net")
    assert {"load", "reference", "pass fold_batchnorm"} <= {each.getMessage() for each in caplog.records}
    assert {each.name for each in caplog.records} == {"edgec"}
    code = "import edgec, sys; edgec.inspect(sys.argv[1]); edgec.check(sys.argv[1], target='jetson-tx2')"
    model = tmp_path / "net.onnx"
    onnx.save(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 13]> g (float[4] x) => (float[4] y) { y = Relu (x) }'
        ),
        model,
    )
    capfd.readouterr()
    subprocess.run([sys.executable, "-c", code, model], check=True)
    assert capfd.readouterr() == ("", "")


def test_python_m_edgec_is_the_command() -> None:
    said = subprocess.check_output([sys.executable, "-m", "edgec", "targets"], text=True)
    assert "rpi4" in said
