"""A small network compiled for ARM boards and run under emulation."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgec.artefact.artefact import Artefact
from edgec.artefact.emulated import emulate_time
from edgec.compress.quantization import quantize_model
from edgec.errors import CannotRunHere
from edgec.quantizing import QuantizeOptions
from edgec.targets.base import RunContext
from edgec.targets.board import load_board
from edgec.targets.tvm import run as run_module
from edgec.targets.tvm import run_process
from edgec.targets.tvm.emulated.mca import Tools
from tests.passes.quantize_support import Arrays, small
from tests.support.tvm_artefact import compiled, edgec_run, require_emulator

TOLERANCE = 1e-5
EMULATOR = ("qemu-aarch64", "-cpu", "cortex-a72", "-L", "/usr/aarch64-linux-gnu")

pytestmark = pytest.mark.emulation


@pytest.fixture(scope="module")
def rpi4(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    require_emulator()
    return compiled(tmp_path_factory.mktemp("rpi4") / "artefact", "rpi4")


def test_it_gives_the_results_of_the_reference(rpi4: Artefact) -> None:
    verification = rpi4.verify()
    assert verification.where == "qemu-aarch64 -cpu cortex-a72"
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


def test_the_board_can_check_itself(rpi4: Artefact) -> None:
    done = edgec_run(rpi4, "--self-test", emulator=EMULATOR)
    assert done.returncode == 0, done.stderr


def test_the_runtime_is_not_loaded_before_it_is_compared(rpi4: Artefact, tmp_path: Path) -> None:
    shutil.copytree(rpi4.folder, tmp_path / "copy")
    (tmp_path / "copy/lib/libtvm_ffi.so").write_bytes(b"no library")
    done = edgec_run(rpi4, "--artefact", str(tmp_path / "copy"), emulator=EMULATOR)
    assert done.returncode == 2
    own = [*EMULATOR, str(tmp_path / "copy/edgec-run")]
    assert subprocess.run(own, capture_output=True, check=False).returncode == 2


def test_the_same_input_gives_the_same_bytes(rpi4: Artefact, tmp_path: Path) -> None:
    again = compiled(tmp_path / "again", "rpi4", cache=False)
    assert again.manifest.model_dump_json() == rpi4.manifest.model_dump_json()


def test_several_inferences_in_one_process(rpi4: Artefact) -> None:
    assert len(rpi4.runner(threads=2).bench(rpi4.golden_inputs(), warmup=1, runs=3)) == 3


def test_marks_are_no_operations(rpi4: Artefact) -> None:
    assert edgec_run(rpi4, "--mark", "--runs", "2", emulator=EMULATOR).returncode == 0


def test_the_time_on_the_board_is_estimated(rpi4: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    """What llvm-mca says is left out: two instructions a cycle."""
    monkeypatch.setattr(run_process, "find_tools", lambda: Tools("", ""))
    halves = lambda blocks, core, tools: [len(block) / 2 for block in blocks]  # noqa: E731
    monkeypatch.setattr("edgec.targets.tvm.emulated.time_model.cycles", halves)
    found = emulate_time(rpi4, layers=True)
    counts, vectors_of_macs = found.counts, 20 * 20 * 8 * 27 / 4
    assert vectors_of_macs <= counts.multiply_adds < 1.1 * vectors_of_macs
    assert counts.cycles == pytest.approx(counts.instructions / 2)
    assert counts.instructions > counts.l1_misses >= counts.memory_misses > 0
    assert 0 < found.low_ms < found.ms < found.high_ms < 1
    slowest = max(found.kernels, key=lambda kernel: kernel.ms)
    assert slowest.macs == 20 * 20 * 8 * 27
    assert sum(kernel.instructions for kernel in found.kernels) < counts.instructions
    assert sum(kernel.ms for kernel in found.kernels) < found.ms


@pytest.mark.parametrize("board", ["aarch64", "rpi5", "jetson-tx2-cpu", "graviton3"])
def test_other_boards(board: str, tmp_path: Path) -> None:
    require_emulator()
    verification = compiled(tmp_path / "artefact", board).verify()
    assert verification.where == f"qemu-aarch64 -cpu {load_board(board).emulator_cpu}"
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


def test_a_cpu_that_lacks_instructions_is_refused_by_the_runner(tmp_path: Path) -> None:
    require_emulator()
    done = edgec_run(compiled(tmp_path / "artefact", "rpi5"), emulator=EMULATOR)  # an A76's code on an A72
    assert done.returncode == 2
    assert "this CPU lacks asimddp, for which the model was compiled (cortex-a76)" in done.stderr


def test_without_an_emulator_the_remedy_is_the_command_that_installs_it(
    rpi4: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module.shutil, "which", lambda name: None)
    with pytest.raises(
        CannotRunHere, match="qemu-user is not installed\nsudo apt-get install qemu-user libc6-arm64-cross"
    ):
        rpi4.runner()


def test_without_its_libraries_too(rpi4: Artefact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(run_module.SYSROOTS, "aarch64", (tmp_path, "the-packages"))
    with pytest.raises(
        CannotRunHere, match=f"the libraries in {tmp_path} is not installed\nsudo apt-get install the-packages"
    ):
        rpi4.runner()


def test_a_failing_run_tells_what_the_runner_said(rpi4: Artefact) -> None:
    runner = rpi4.runner()
    assert isinstance(runner, run_process.ProcessRunner)
    manifest = rpi4.manifest
    context = RunContext(rpi4.folder, manifest.board, runner.inputs, runner.outputs, manifest.runtime, threads=-1)
    with pytest.raises(CannotRunHere, match=r"edgec-run failed .*--threads: a whole number"):
        run_process.ProcessRunner(context, EMULATOR).run(rpi4.golden_inputs())


def test_inputs_keep_their_values(rpi4: Artefact) -> None:
    feeds = {name: np.zeros_like(array) for name, array in rpi4.golden_inputs().items()}
    scores = rpi4.runner().run(feeds)["scores"]
    assert scores.sum() == pytest.approx(1, rel=1e-6)
    assert not np.allclose(scores, rpi4.golden_outputs()["scores"], rtol=1e-3)


@pytest.mark.parametrize("board", ["rpi5", "rpi4"])
def test_integers_give_the_results_of_the_quantized_network(board: str, tmp_path: Path) -> None:
    """Convolution, depthwise, residual add, pool, concat and dense layer, calibrated on noise."""
    require_emulator()
    rng = np.random.default_rng(0)
    samples = Arrays([rng.standard_normal((1, 3, 16, 16)).astype(np.float32) for _ in range(4)])
    network = quantize_model(small(), samples, QuantizeOptions(repair=False)).quantized.model
    verification = compiled(tmp_path / "artefact", board, network).verify()
    # A step of the last quantization is 1/255 of a range; sums of such steps reach the outputs.
    assert verification.comparison.within(2e-2), str(verification.comparison)
