"""`--target rtx`: engines that TensorRT for RTX really builds here, without a GPU; run by stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import edgec
from edgec.errors import CannotRunHere, InternalError, MissingDependency, UnsupportedModel
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tensorrt.half import plan_half
from edgec.targets.tensorrt.rtx import build_engine
from edgec.targets.tensorrt.typed import to_half
from tests.support import tensorrt_cpu
from tests.support.models import model, ops, random_weights
from tests.support.tensorrt_board import board_environment
from tests.targets.tensorrt.test_calibration import quantized

TEXT = """net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y, int64[1, 1, 8, 8] best) {
  c = Conv <pads = [1, 1, 1, 1]> (x, w, b)  big = Mul (c, k)  r = Relu (big)  y = Div (r, k)
  best = ArgMax <axis = 1> (c)
}"""


def network(k: float = 2.0) -> ir.Model:
    return model(TEXT, random_weights(w=(4, 3, 3, 3), b=(4,)) | {"k": np.array(k, np.float32)})


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, tensorrt_cpu.environment()[name])


@pytest.mark.usefixtures("tensorrt")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_real_engine_is_in_the_artefact(precision: str, tmp_path: Path) -> None:
    source = quantized() if precision == "int8" else network()
    artefact = edgec.compile(source, target="rtx", precision=precision, output=tmp_path / "a")
    runtime = artefact.manifest.runtime
    assert (tmp_path / "a/model.engine").stat().st_size > 1000
    assert runtime["layers"] >= 4
    assert (tmp_path / "a/run_engine.py").stat().st_mode & 0o100
    types = {
        value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "a/model.onnx")).graph.value_info
    }
    assert (onnx.TensorProto.FLOAT16 in types) is (precision == "fp16")
    assert (onnx.TensorProto.INT8 in types) is (precision == "int8")


@pytest.mark.usefixtures("tensorrt")
def test_layers_that_overflow_stay_fp32_in_the_engine(tmp_path: Path) -> None:
    artefact = edgec.compile(network(5e4), target="rtx", precision="fp16", output=tmp_path / "a")
    assert len(artefact.manifest.runtime["fp32_layers"]) >= 2
    feeds = random_inputs(inputs_of(network()), 0)
    results = Reference(ir.load(tmp_path / "a/model.onnx")).run(feeds)
    assert compare(Reference(network(5e4), []).run(feeds) | {"best": results["best"]}, results).within(2e-2)


@pytest.mark.usefixtures("tensorrt")
def test_an_engine_whose_batch_varies(tmp_path: Path) -> None:
    artefact = edgec.compile(network(), target="rtx", precision="fp16", batch=(1, 4), output=tmp_path / "a")
    assert artefact.manifest.runtime["profiles"]["x"]["max"] == [4, 3, 8, 8]
    assert (tmp_path / "a/model.engine").stat().st_size > 1000


@pytest.mark.usefixtures("tensorrt")
def test_the_parser_refuses_in_one_message(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[2] x) => (float[2] y) { y = Relu (x) }'
    )
    proto.graph.node[0].op_type = "Frobnicate"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedModel, match="Frobnicate"):
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", 256)


@pytest.mark.usefixtures("tensorrt")
def test_the_runner_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    edgec.compile(network(), target="rtx", output=tmp_path / "a")
    process = subprocess.run(
        [sys.executable, tmp_path / "a/run_engine.py"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "RTX GPU" in process.stderr
    assert "Traceback" not in process.stderr
    with pytest.raises(CannotRunHere):
        edgec.load(tmp_path / "a")


RUN = """
import sys
import numpy as np
import edgec

artefact, runner = edgec.Artefact.open(sys.argv[1]), edgec.load(sys.argv[1])
golden = artefact.golden_inputs()["x"]
alone = runner.run({"x": golden})["y"]
together = runner.run({"x": np.concatenate([golden] * 3)})["y"]
print(runner.description, together.shape[0], np.abs(together - alone).max() < 1e-5)
print(artefact.verify().ok, artefact.bench(warmup=1, runs=3).runs)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put stand-ins for TensorRT and CUDA in the place of real ones; return the file that calls are written to."""
    for name, value in board_environment("jetson-agx-orin").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_the_engine_is_run_verified_and_measured(calls: Path, tmp_path: Path) -> None:
    edgec.compile(network(), target="rtx", batch=(1, 4), output=tmp_path / "a")
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path / "a"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["TensorRT 10.3.0 3 True", "True 3"]
    assert '["shape", "x", [3, 3, 8, 8]]' in calls.read_text()


def test_the_program_in_the_artefact_runs_the_engine(calls: Path, tmp_path: Path) -> None:
    edgec.compile(network(), target="rtx", output=tmp_path / "a")
    program = [sys.executable, tmp_path / "a/run_engine.py"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "a/result.json").read_text())
    assert (result["status"], result["latency_ms"]["end_to_end"]["min"] > 0) == ("ok", True)


def test_fp32_is_not_tf32(calls: Path, tmp_path: Path) -> None:
    edgec.compile(network(), target="rtx", output=tmp_path / "a")
    assert '["clear_flag", "TF32"]' in calls.read_text().splitlines()


def stand_in(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `import tensorrt` run `text`; return a model file."""
    for name in ("tensorrt", "tensorrt_rtx"):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "m.onnx"


def test_without_tensorrt_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in(tmp_path, "raise ImportError('none here')", monkeypatch)
    with pytest.raises(MissingDependency) as caught:
        build_engine(path, tmp_path / "m.engine", 256)
    assert caught.value.remedy == "pip install tensorrt-rtx"


def test_a_tensorrt_that_needs_a_gpu_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in(tmp_path, "raise RuntimeError('CUDA initialization failure')", monkeypatch)
    with pytest.raises(MissingDependency, match="only where there is a GPU"):
        build_engine(path, tmp_path / "m.engine", 256)


def test_a_crash_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in(tmp_path, "import os; os.abort()", monkeypatch)
    with pytest.raises(InternalError, match="building the engine failed"):
        build_engine(path, tmp_path / "m.engine", 256)


# FP16 written into the model


def half_equals(made: ir.Model, kept: tuple[str, ...] = (), **feeds: Any) -> ir.Model:
    given = feeds or random_inputs(inputs_of(made), 0)
    half = to_half(made, kept)
    onnx.checker.check_model(ir.to_proto(half), full_check=True)
    assert [spec.dtype for spec in outputs_of(half)] == [spec.dtype for spec in outputs_of(made)]
    expected, actual = Reference(made).run(given), Reference(half).run(given)
    floats = {name: array for name, array in expected.items() if array.dtype.kind == "f"}
    assert compare(floats, {name: actual[name] for name in floats}).within(1e-2)
    return half


def test_everything_computes_in_half() -> None:
    half = half_equals(network())
    assert ops(half).count("Cast") == 2  # x down, y up
    assert {value.dtype for value in half.graph.initializers.values()} == {ir.DataType.FLOAT16}
    dtypes = {node.op_type: node.outputs[0].dtype.name for node in half.graph if node.outputs[0].dtype}
    assert (dtypes["Conv"], dtypes["Div"], dtypes["ArgMax"]) == ("FLOAT16", "FLOAT16", "INT64")


def test_kept_nodes_compute_in_float() -> None:
    made = network(5e4)
    for node in made.graph:
        node.name = node.op_type
    kept = tuple(pin.where for pin in plan_half(made, [random_inputs(inputs_of(made), 0)]).pins)
    assert set(kept) == {"Mul", "Relu", "Div"}
    assert half_equals(made, kept).graph.node("Mul").outputs[0].dtype == ir.DataType.FLOAT


@pytest.mark.parametrize(
    "body",
    [
        'y = Resize <mode = "linear"> (x, roi, s)',
        "y = Where (m, x, k)",
        "i = Cast <to = 7> (x)  f = Cast <to = 1> (i)  y = Add (f, x)",
        "n = Shape (x)  z = ConstantOfShape (n)  y = Add (x, z)",
        "y = Identity (x)",
    ],
)
def test_operators_with_other_types_beside(body: str) -> None:
    constants = {
        "roi": np.zeros(0, np.float32),
        "s": np.array([1, 1, 2, 2], np.float32),
        "m": np.array([True, False] * 4),
        "k": np.array(3, np.float32),
    }
    size = 16 if "Resize" in body else 8
    half_equals(
        model(f"net (float[1, 3, 8, 8] x) => (float[1, 3, {size}, {size}] y) {{ {body} }}", constants, opset=17)
    )
