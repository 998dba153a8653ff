"""`edgec.load` on the board: the same calls as for a CPU, the engine behind them. Both generations of the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx_ir as ir
import pytest

import edgec
from tests.support.tensorrt_board import board_environment, small_model

PROGRAM = """
import platform, sys
platform.machine = lambda: "aarch64"  # as on the board
import numpy as np
import edgec

artefact = edgec.Artefact.open(sys.argv[1])
runner = edgec.load(sys.argv[1])
golden = artefact.golden_inputs()
print(runner.description)
print([(spec.name, spec.dtype) for spec in runner.inputs + runner.outputs])
outputs = runner.run(golden)
print(all(outputs[name].dtype == array.dtype for name, array in artefact.golden_outputs().items()))
print(artefact.verify().ok, artefact.bench(warmup=1, runs=3).runs)
try:
    runner.run({"image": np.zeros((2, 3, 8, 8), np.float32)})
except edgec.EdgecError as error:
    print(error.problem)
"""


@pytest.mark.parametrize(
    ("board", "where"), [("jetson-tx2", "8.2.1.8 on sm_62"), ("jetson-agx-orin", "10.3.0 on sm_87")]
)
def test_the_engine_is_loaded_and_run_like_any_artefact(tmp_path: Path, board: str, where: str) -> None:
    edgec.compile(ir.to_proto(small_model()), target=board, output=tmp_path / "a")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a")],
        env=board_environment(board),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines[0] == f"TensorRT {where}"
    assert lines[1] == "[('image', 'float32'), ('y', 'float32'), ('best', 'int64')]"
    assert lines[2:4] == ["True", "True 3"]
    assert "image" in lines[4]
