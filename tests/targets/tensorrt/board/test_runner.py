"""`edgec.load` on the board: the same calls as for a CPU, the engine behind them. Both generations of the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import onnx_ir as ir
import pytest

import edgec
from edgec.errors import CannotRunHere
from edgec.model.signature import TensorSpec
from edgec.targets.tensorrt.board.failure import Failure
from edgec.targets.tensorrt.runner import TensorRTRunner
from tests.support.models import model, random_weights
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


def run_here(program: str, folder: Path, board: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(folder)]
    env = board_environment(board) | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def any_batch(folder: Path, board: str) -> None:
    network = "net (float[1, 3, 8, 8] image) => (float[1, 4, 8, 8] y) { c = Conv (image, w)  y = Relu (c) }"
    proto = ir.to_proto(model(network, random_weights(w=(4, 3, 1, 1))))
    edgec.compile(proto, target=board, output=folder, batch=(1, 4))


BATCHES = """
import platform, sys
platform.machine = lambda: "aarch64"
import numpy as np
import edgec

artefact = edgec.Artefact.open(sys.argv[1])
runner, golden = edgec.load(sys.argv[1]), artefact.golden_inputs()["image"]
alone = runner.run({"image": golden})["y"]
for batch in (3, 1, 4):
    outputs = runner.run({"image": np.concatenate([golden] * batch)})["y"]
    print(outputs.shape[0], np.abs(outputs - alone).max() < 1e-5)
try:
    runner.run({"image": np.concatenate([golden] * 5)})
except edgec.EdgecError as error:
    print(error.problem)
"""


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-agx-orin"])
def test_a_batch_of_the_range_is_run(tmp_path: Path, board: str) -> None:
    any_batch(tmp_path / "a", board)
    done = run_here(BATCHES, tmp_path / "a", board)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines[:3] == ["3 True", "1 True", "4 True"]
    assert "image" in lines[3]


@pytest.mark.parametrize(
    ("board", "where"), [("jetson-tx2", "8.2.1.8 on sm_62"), ("jetson-agx-orin", "10.3.0 on sm_87")]
)
def test_the_engine_is_loaded_and_run_like_any_artefact(tmp_path: Path, board: str, where: str) -> None:
    edgec.compile(ir.to_proto(small_model()), target=board, output=tmp_path / "a")
    done = run_here(PROGRAM, tmp_path / "a", board)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines[0] == f"TensorRT {where}"
    assert lines[1] == "[('image', 'float32'), ('y', 'float32'), ('best', 'int64')]"
    assert lines[2:4] == ["True", "True 3"]
    assert "image" in lines[4]


OUT_OF_MEMORY = """
import ctypes, platform, sys
platform.machine = lambda: "aarch64"
import numpy as np
import edgec

blocks = ctypes.CDLL("libcudart.so").stand_in_live
runner, golden = edgec.load(sys.argv[1]), edgec.Artefact.open(sys.argv[1]).golden_inputs()["image"]
alone = runner.run({"image": golden})["y"]
print(blocks())
try:
    runner.run({"image": np.concatenate([golden] * 4)})
except edgec.errors.CannotRunHere as error:
    print(error.problem, blocks())
print((runner.run({"image": golden})["y"] == alone).all(), blocks())
"""


LIFE_CYCLE = """
import ctypes, os, platform, sys
platform.machine = lambda: "aarch64"
import edgec

blocks = ctypes.CDLL("libcudart.so").stand_in_live
golden = edgec.Artefact.open(sys.argv[1]).golden_inputs()
runner = edgec.load(sys.argv[1])
runner.run(golden)
if os.fork() == 0:
    try:
        runner.run(golden)
    except edgec.errors.CannotRunHere as error:
        print(error.problem.partition("was")[2], flush=True)
    os._exit(0)
os.wait()
open_blocks = blocks()
runner.close()
print(open_blocks > 0, blocks())
try:
    runner.run(golden)
except edgec.EdgecError as error:
    print(error.problem.rpartition(" ")[2])
with edgec.load(sys.argv[1]) as runner:
    runner.run(golden)
dropped = edgec.load(sys.argv[1])
del dropped
print(blocks())
"""


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-agx-orin"])
def test_closed_or_dropped_it_leaves_no_memory_and_a_forked_child_is_told(tmp_path: Path, board: str) -> None:
    edgec.compile(ir.to_proto(small_model()), target=board, output=tmp_path / "a")
    done = run_here(LIFE_CYCLE, tmp_path / "a", board)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines == [" loaded in another process, but CUDA does not work in a forked child", "True 0", "closed", "0"]


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-agx-orin"])
def test_after_a_batch_too_large_for_the_memory_smaller_ones_run(tmp_path: Path, board: str) -> None:
    """There is memory for four pictures of 3 channels, not for their outputs of 4."""
    any_batch(tmp_path / "a", board)
    done = run_here(OUT_OF_MEMORY, tmp_path / "a", board, STAND_IN_CUDA_LARGEST=str(4 * 3 * 8 * 8 * 4))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines == ["4", "CUDA: cudaMalloc failed with error 2: out of memory 0", "True 4"]


def test_what_fails_while_it_runs_is_one_error() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 3))

    class Failing:
        ranges: ClassVar = {"x": None}

        def feed(self, feeds: object) -> None:
            raise Failure("out of memory")

        run = feed

        def close(self) -> None:
            pass

    context = SimpleNamespace(folder=Path("artefact"), inputs=(spec,), outputs=(spec,))
    runner = TensorRTRunner(cast(Any, Failing()), cast(Any, context), "a stand-in")
    feeds = {"x": np.zeros((1, 3), np.float32)}
    with pytest.raises(CannotRunHere, match="out of memory"):
        runner.run(feeds)
    with pytest.raises(CannotRunHere, match="out of memory"):
        runner.bench(feeds, warmup=0, runs=1)
