"""The real parser and builder of TensorRT, without a GPU: what `legalize` writes is parsed and built, node by node."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgec
from edgec.model.serialize import save
from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import Limits, limits_for
from tests.support import tensorrt_cpu
from tests.support.conformance import static_models
from tests.support.models import model
from tests.support.real_models import HUNDREDS_OF_MEGABYTES, REAL_MODELS
from tests.support.tensorrt_board import (
    RANGE,
    cuda_stand_in,
    dynamic_artefact,
    set_runtime,
    small_model,
    write_artefact,
)

pytestmark = pytest.mark.slow

BUILD = Path(tensorrt_cpu.__file__).with_name("build_models.py")
OPERATORS = (
    "averagepool", "batchnorm", "castlike", "conv", "dequantizelinear", "gelu", "group_normalization", "hardswish",
    "isinf", "layer_normalization", "matmul", "mish", "mod", "onehot", "pad", "quantizelinear", "reduce", "reshape",
    "resize", "rms_normalization", "shape", "shrink", "slice", "split", "swish", "tril", "triu", "xor",
)  # fmt: skip
ON_ORIN_TOO = ("detector", "ppocr_rec", "common_det")
NOT_OURS = {"reshape_allowzero_reordered": "an empty tensor"}


def build_all(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Parse and build `paths` with TensorRT; return stage and errors by stem."""
    environment = tensorrt_cpu.environment()
    command = [sys.executable, str(BUILD), *map(str, paths)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    results = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    assert len(results) == len(paths), f"died at {paths[len(results)].stem}: {process.stderr[-500:]}"
    return {Path(result["path"]).stem: result for result in results}


def conformance_models(limits: Limits, folder: Path) -> list[Path]:
    """Save ONNX's own test models of the operators with rules, legalized; small inputs, such as axes, made constant."""

    def has_rules(case: Any) -> bool:
        name = case.name.removeprefix("test_")
        return name.startswith(OPERATORS) and name not in NOT_OURS

    paths = []
    for case, network in static_models(has_rules):
        legalize(network, limits)
        if not refusals(network, limits):
            paths.append(folder / f"{case.name}.onnx")
            save(network, paths[-1])
    return paths


@pytest.mark.parametrize("version", ["8.2.1", "10.3.0"])
def test_legalized_operators_are_parsed_and_built(version: str, tmp_path: Path) -> None:
    paths = conformance_models(limits_for(version), tmp_path)
    assert len(paths) > 200
    failed = {name: result["errors"] for name, result in build_all(paths).items() if result["stage"] != "built"}
    assert failed == {}


@pytest.mark.parametrize(
    ("name", "board"),
    [
        *((name, "jetson-tx2") for name in sorted(set(REAL_MODELS) - HUNDREDS_OF_MEGABYTES)),
        *((name, "jetson-agx-orin") for name in ON_ORIN_TOO),
    ],
)
def test_real_networks_are_compiled_parsed_and_built(name: str, board: str, tmp_path: Path) -> None:
    """`compile` itself checks by ONNX Runtime that the rewrites changed nothing."""
    network = REAL_MODELS[name]
    edgec.compile(network.require(), target=board, output=tmp_path / "artefact", shapes=network.shapes)
    result = build_all([tmp_path / "artefact/model.onnx"])["model"]
    assert (result["stage"], result["errors"]) == ("built", [])


@pytest.mark.parametrize("name", ["detector", "ppocr_cls"])
def test_real_networks_in_fp16_for_rtx(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(variable, tensorrt_cpu.environment()[variable])
    network = REAL_MODELS[name]
    artefact = edgec.compile(
        network.require(), target="rtx", precision="fp16", output=tmp_path / "artefact", shapes=network.shapes
    )
    assert artefact.manifest.runtime["fp32_layers"] == []
    assert (tmp_path / "artefact/model.engine").stat().st_size > 1e6


QUANTIZED = """
net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {
  q = QuantizeLinear (x, xs, z)  d = DequantizeLinear (q, xs, z)
  w = DequantizeLinear <axis = 0> (wq, ws, wz)  b = DequantizeLinear (bq, bs, bz)
  c = Conv <pads = [1, 1, 1, 1]> (d, w, b)  r = Relu (c)
  p = QuantizeLinear (r, rs, z)  y = DequantizeLinear (p, rs, z)
}
"""


@pytest.mark.parametrize("version", ["8.5.2", "10.3.0"])
def test_a_quantized_network_is_parsed_and_built(version: str, tmp_path: Path) -> None:
    """Stored int8 weights, an int32 bias and zero points of 128: as quantizers write them, mended by the rules."""
    rng = np.random.default_rng(0)
    weights = {
        "xs": np.array(0.02, np.float32), "rs": np.array(0.05, np.float32), "z": np.array(128, np.uint8),
        "wq": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), "wz": np.zeros(4, np.int8),
        "ws": rng.uniform(0.001, 0.01, 4).astype(np.float32),
        "bq": rng.integers(-1000, 1000, 4).astype(np.int32), "bs": np.array(1e-4, np.float32),
        "bz": np.array(0, np.int32),
    }  # fmt: skip
    network = model(QUANTIZED, weights, opset=13)
    legalize(network, limits_for(version))
    assert refusals(network, limits_for(version)) == ()
    save(network, tmp_path / "model.onnx")
    result = build_all([tmp_path / "model.onnx"])["model"]
    assert (result["stage"], result["errors"]) == ("built", [])


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = tensorrt_cpu.environment()
    environment["LD_LIBRARY_PATH"] += os.pathsep + str(cuda_stand_in())
    return subprocess.run(
        [sys.executable, str(folder / "build_engine.py"), "--build-only"],
        env=environment | {"STAND_IN_SM": "87"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_boards_script_builds_a_real_engine(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin")
    outcome = run_script(tmp_path / "a")
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "a/model.engine").stat().st_size > 1000
    assert (tmp_path / "a/timing.cache").exists()


def test_the_boards_script_builds_a_range_of_shapes(tmp_path: Path) -> None:
    dynamic_artefact(tmp_path / "a", "jetson-agx-orin")
    outcome = run_script(tmp_path / "a")
    assert outcome.returncode == 0, outcome.stderr
    set_runtime(tmp_path / "a", profiles={"image": {**RANGE, "min": [1, 3, 99, 99]}})
    outcome = run_script(tmp_path / "a")
    assert outcome.returncode == 2
    assert "(1, 3, 99, 99)" in outcome.stderr


def test_tensorrt_11_is_not_asked_for_fp16_in_silence(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin", precision="fp16")
    outcome = run_script(tmp_path / "a")
    assert outcome.returncode == 2
    assert "no FP16 flag" in outcome.stderr


def test_the_scripts_parser_errors_are_the_parsers(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin")
    path = tmp_path / "a/model.onnx"
    broken = onnx.load(path)
    broken.graph.node[0].op_type = "Frobnicate"
    onnx.save(broken, path)
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    manifest["runtime"]["model_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "a/manifest.json").write_text(json.dumps(manifest))
    names = [line.split("  ", 1)[1] for line in (tmp_path / "a/SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((tmp_path / 'a' / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (tmp_path / "a/SHA256SUMS").write_text("".join(sums))
    outcome = run_script(tmp_path / "a")
    assert outcome.returncode == 2
    assert "Frobnicate" in outcome.stderr
    assert "Traceback" not in outcome.stderr
