"""What `TensorRTTarget` writes into an artefact, what it refuses, and how it runs on a board."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.errors import BadOption, CannotRunHere, UnsupportedModel
from edgec.model.signature import inputs_of, outputs_of
from edgec.options import compile_options
from edgec.record import Record
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.base import LoweringContext, RunContext
from edgec.targets.board import load_board
from edgec.targets.tensorrt import TensorRTTarget
from edgec.targets.tensorrt.board import cuda
from edgec.targets.tensorrt.runner import TensorRTRunner
from tests.support.models import model
from tests.support.tensorrt_board import STAND_IN, cuda_stand_in, small_model, write_artefact

RELU = "net (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }"


def lower(network: ir.Model, folder: Path, *, board: str = "jetson-tx2", **options: Any) -> dict[str, Any]:
    settings = compile_options({"target": board, **options})
    context = LoweringContext(load_board(board), settings, folder, Record(), [random_inputs(inputs_of(network), 0)])
    return dict(TensorRTTarget().lower(network, context).runtime)


def test_writes_model_scripts_and_settings(tmp_path: Path) -> None:
    runtime = lower(small_model(), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.onnx", "build.sh", "build_engine.py", "onboard", "cpp", "LICENSES"}
    assert "Apache License" in (tmp_path / "LICENSES" / "LICENSE.edgec").read_text()
    assert os.access(tmp_path / "build.sh", os.X_OK)
    assert runtime["tensorrt"] == "8.2.1"
    assert runtime["sm"] == 62
    assert runtime["workspace_mib"] == 1024
    assert json.loads(json.dumps(runtime)) == runtime


def test_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lower(small_model(), tmp_path / name)
    assert (tmp_path / "a/model.onnx").read_bytes() == (tmp_path / "b/model.onnx").read_bytes()


@pytest.mark.parametrize(("board", "newest"), [("jetson-nano", 13), ("jetson-xavier-nx", 17), ("jetson-agx-orin", 20)])
def test_opset_is_the_newest_the_board_reads(tmp_path: Path, board: str, newest: int) -> None:
    lower(model(RELU, opset=21), tmp_path, board=board)
    written = onnx.load(tmp_path / "model.onnx")
    assert [entry.version for entry in written.opset_import] == [newest]
    onnx.checker.check_model(written, full_check=True)


def test_older_opset_stays(tmp_path: Path) -> None:
    lower(model(RELU, opset=11), tmp_path)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == 11


def test_written_model_computes_the_same(tmp_path: Path) -> None:
    network = small_model()
    lower(network, tmp_path)
    feeds = random_inputs(inputs_of(network), 1)
    actual = Reference((tmp_path / "model.onnx").read_bytes()).run(feeds)
    assert compare(Reference(network).run(feeds), actual).within(1e-6)


def test_given_model_is_not_changed(tmp_path: Path) -> None:
    network = small_model()
    before = ir.to_proto(network).SerializeToString(deterministic=True)
    lower(network, tmp_path)
    assert ir.to_proto(network).SerializeToString(deterministic=True) == before


def test_profile_names_opset_precisions_and_tile() -> None:
    tx2, orin = (TensorRTTarget().profile(load_board(name)) for name in ("jetson-tx2", "jetson-agx-orin"))
    assert (tx2.precisions, tx2.channel_multiple) == (("fp32", "fp16"), 2)
    assert (orin.precisions, orin.channel_multiple) == (("fp32", "fp16", "int8"), 8)


def test_odd_names_are_replaced_and_mapped(tmp_path: Path) -> None:
    network = model(RELU)
    network.graph.inputs[0].name, network.graph.outputs[0].name = "in:0", "out put"
    runtime = lower(network, tmp_path)
    assert runtime["names"] == {"in:0": "in_0", "out put": "out_put"}
    written = onnx.load(tmp_path / "model.onnx").graph
    assert [written.input[0].name, written.output[0].name] == ["in_0", "out_put"]


def test_what_was_done_is_recorded(tmp_path: Path) -> None:
    record = write_artefact(tmp_path / "a", small_model())
    entries = {entry.name: entry.changes for entry in record.passes}
    assert entries["tensorrt.legalize"] == ("HardSwish written as x * HardSigmoid(x)",)


def test_int64_constants_are_noted(tmp_path: Path) -> None:
    network = model(
        "net (float[2, 3] x) => (float[3, 2] y) <int64[2] s = {3, 2}> { y = Reshape (x, s) }",
    )
    record = write_artefact(tmp_path / "a", network)
    assert record.passes[-1].changes == ("1 INT64 constants are read as INT32; all of them fit",)


# Refusals


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-nano"])
def test_int8_is_refused_where_the_gpu_has_none(tmp_path: Path, board: str) -> None:
    with pytest.raises(BadOption, match="has no INT8 instructions") as caught:
        lower(small_model(), tmp_path, board=board, precision="int8")
    assert "fp16" in str(caught.value.remedy)


def test_int8_of_a_model_without_quantization_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no QuantizeLinear"):
        lower(small_model(), tmp_path, board="jetson-agx-orin", precision="int8")


QUANTIZED = """
net (float[1, 3] x) => (float[1, 3] y) <float scale = {0.1}, int8 zero = {0}>
{ q = QuantizeLinear (x, scale, zero)  y = DequantizeLinear (q, scale, zero) }
"""


def test_quantized_model_is_refused_where_the_gpu_has_no_int8(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"QuantizeLinear.*sm_62 has no INT8"):
        lower(model(QUANTIZED), tmp_path)


def test_quantized_model_needs_precision_int8(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="cannot be built as fp16"):
        lower(model(QUANTIZED), tmp_path, board="jetson-agx-orin", precision="fp16")
    lower(model(QUANTIZED), tmp_path, board="jetson-agx-orin", precision="int8")


def test_unknown_operator_names_op_node_and_reason(tmp_path: Path) -> None:
    network = model("net (float[4] x) => (int64[1, N] y) { y = NonZero (x) }")
    network.graph.node(0).name = "where_is_it"
    network.graph.outputs[0].shape = ir.Shape([1, 4])
    with pytest.raises(
        UnsupportedModel, match="NonZero node 'where_is_it': TensorRT's parser does not support the operator"
    ):
        lower(network, tmp_path)


def test_float64_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="input 'x': it is float64"):
        lower(model("net (double[3] x) => (double[3] y) { y = Relu (x) }"), tmp_path)


def test_model_that_needs_float64_is_refused(tmp_path: Path) -> None:
    """(x + 1e9) - 1e9 is 0 in FP32: no constant is at fault, the comparison finds it."""
    network = model(
        "net (float[1, 3] x) => (float[1, 3] y) <double k = {1000000000}>"
        "{ d = Cast <to = 11> (x)  a = Add (d, k)  b = Sub (a, k)  y = Cast <to = 1> (b) }"
    )
    with pytest.raises(UnsupportedModel, match="the model needs float64"):
        lower(network, tmp_path)


def test_uint8_input_needs_tensorrt_8_5(tmp_path: Path) -> None:
    network = model("net (uint8[3] x) => (float[3] y) { y = Cast <to = 1> (x) }")
    with pytest.raises(UnsupportedModel, match="input 'x': it is uint8"):
        lower(network, tmp_path)


def test_board_without_tensorrt_version_is_refused(tmp_path: Path) -> None:
    board = load_board("jetson-tx2").model_copy(update={"software": {}})
    with pytest.raises(BadOption, match="no TensorRT version"):
        TensorRTTarget().profile(board)


@pytest.mark.parametrize("version", ["7.1.3", "eight"])
def test_board_with_unknown_tensorrt_is_refused(version: str) -> None:
    board = load_board("jetson-tx2").model_copy(update={"software": {"tensorrt": version}})
    with pytest.raises(BadOption, match=version):
        TensorRTTarget().profile(board)


# Running


def open_in(folder: Path, network: ir.Model, board: str = "jetson-tx2") -> TensorRTRunner:
    runner = TensorRTTarget().open(
        RunContext(folder, load_board(board), inputs_of(network), outputs_of(network), runtime={}, threads=1)
    )
    assert isinstance(runner, TensorRTRunner)
    return runner


def test_another_machine_is_told_to_copy_the_folder(tmp_path: Path) -> None:
    if platform.machine() == "aarch64":
        pytest.skip("this machine may be the board")
    with pytest.raises(CannotRunHere, match="jetson-tx2 is aarch64") as caught:
        open_in(tmp_path, small_model())
    assert "./build.sh" in str(caught.value.remedy)


def test_a_machine_without_tensorrt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(CannotRunHere, match="has no TensorRT"):
        open_in(tmp_path, small_model())


@pytest.fixture
def this_is_a_tx2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(cuda, "LIBRARIES", (str(cuda_stand_in() / "libcudart.so"),))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(cuda_stand_in()))
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    monkeypatch.setenv("STAND_IN_VERSION", "8.2.1.8")
    monkeypatch.syspath_prepend(str(STAND_IN))
    yield
    sys.modules.pop("tensorrt", None)


@pytest.mark.usefixtures("this_is_a_tx2")
def test_on_the_board_the_engine_is_built_and_run(tmp_path: Path) -> None:
    network = small_model()
    write_artefact(tmp_path / "a", network)
    runner = open_in(tmp_path / "a", network)
    feeds = random_inputs(inputs_of(network), 3)
    assert compare(Reference(network).run(feeds), runner.run(feeds)).within(1e-6)
    assert len(runner.bench(feeds, warmup=1, runs=4)) == 4
    assert runner.description == "TensorRT 8.2.1.8 on sm_62"
    built = (tmp_path / "a/model.engine").stat().st_mtime_ns
    open_in(tmp_path / "a", network)
    assert (tmp_path / "a/model.engine").stat().st_mtime_ns == built


@pytest.mark.usefixtures("this_is_a_tx2")
def test_wrong_feed_is_refused(tmp_path: Path) -> None:
    network = small_model()
    write_artefact(tmp_path / "a", network)
    with pytest.raises(BadOption, match="image"):
        open_in(tmp_path / "a", network).run({"image": np.zeros((1, 3, 4, 4), np.float32)})


@pytest.mark.usefixtures("this_is_a_tx2")
def test_failing_build_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_model()
    write_artefact(tmp_path / "a", network)
    monkeypatch.setenv("STAND_IN_FAULT", "parser")
    with pytest.raises(CannotRunHere, match="cannot parse the model"):
        open_in(tmp_path / "a", network)


@pytest.mark.usefixtures("this_is_a_tx2")
def test_older_tensorrt_is_not_the_board(tmp_path: Path) -> None:
    network = model(RELU)
    write_artefact(tmp_path / "a", network, board="jetson-agx-orin")
    with pytest.raises(CannotRunHere, match=r"compiled for 10\.3\.0"):
        open_in(tmp_path / "a", network, board="jetson-agx-orin")
