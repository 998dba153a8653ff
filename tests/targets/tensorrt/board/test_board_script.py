"""build_engine.py, run as on the board: success, and every failure ends in one message and an exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.tensorrt_board import (
    SM_OF,
    board_environment,
    renew_sums,
    run_on_board,
    small_model,
    write_artefact,
    write_manifest,
)

QUICK = ("--runs", "5", "--warmup", "0")
BOARDS = ("jetson-tx2", "jetson-agx-orin")  # 8.2 and 10.3


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for board in BOARDS:
        folders[board] = tmp_path_factory.mktemp(board) / "artefact"
        write_artefact(folders[board], small_model(), board=board)
    return folders


@pytest.fixture
def artefact(pristine: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine["jetson-tx2"], tmp_path / "artefact"))


@pytest.mark.parametrize("board", sorted(SM_OF))
def test_builds_verifies_measures(tmp_path: Path, board: str) -> None:
    folder = tmp_path / "artefact"
    write_artefact(folder, small_model(), board=board)
    outcome = run_on_board(folder, *QUICK, board=board)
    assert (outcome.code, outcome.stderr) == (0, "")
    result = outcome.result
    assert result is not None
    assert result["status"] == "ok"
    assert [(output["name"], output["passed"]) for output in result["outputs"]] == [("y", True), ("best", True)]
    assert set(result["latency_ms"]) == {"end_to_end", "copy_in", "compute", "copy_out"}
    assert set(result["latency_ms"]["compute"]) == {"median", "p90", "p99", "min", "mean"}
    assert result["throughput_per_s"] > 0
    assert result["machine"]["sm"] == SM_OF[board]
    assert (folder / "timing.cache").exists()


def test_workspace_and_batch_flag_are_always_set_on_8_2(artefact: Path) -> None:
    calls = run_on_board(artefact, *QUICK).calls
    assert ["workspace", 1024] in calls
    assert ["create_network", 1] in calls


def test_tf32_is_switched_off_for_fp32(artefact: Path) -> None:
    calls = run_on_board(artefact, *QUICK).calls
    assert ["clear_flag", "TF32"] in calls
    assert not [call for call in calls if call[0] == "set_flag"]


@pytest.mark.parametrize("board", BOARDS)
def test_fp16_sets_the_flag(tmp_path: Path, board: str) -> None:
    write_artefact(tmp_path / "a", small_model(), board=board, precision="fp16")
    outcome = run_on_board(tmp_path / "a", *QUICK, board=board)
    assert outcome.code == 0
    assert ["set_flag", "FP16"] in outcome.calls


def test_second_build_is_skipped(artefact: Path) -> None:
    assert "build_serialized_network" in run_on_board(artefact, *QUICK).names()
    again = run_on_board(artefact, *QUICK)
    assert again.code == 0
    assert "build_serialized_network" not in again.names()
    assert "not built again" in again.stdout
    assert "build_serialized_network" in run_on_board(artefact, "--force", *QUICK).names()


def test_timing_cache_is_used_again(artefact: Path) -> None:
    run_on_board(artefact, *QUICK)
    calls = run_on_board(artefact, "--force", *QUICK).calls
    assert ["set_timing_cache", len(b"timings")] in calls


def test_timing_cache_of_another_board_is_replaced(artefact: Path) -> None:
    (artefact / "timing.cache").write_bytes(b"from elsewhere")
    outcome = run_on_board(artefact, *QUICK, STAND_IN_FAULT="old timing cache")
    assert outcome.code == 0
    assert ["set_timing_cache", 0] in outcome.calls


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"STAND_IN_VERSION": "8.2.3"}, "tensorrt 8.2.1.8, but here it is 8.2.3"),
        ({"STAND_IN_SM": "53"}, "sm 62, but here it is 53"),
    ],
)
def test_engine_of_another_board_is_built_again_without_loading_it(
    artefact: Path, changed: dict[str, str], said: str
) -> None:
    run_on_board(artefact, *QUICK)
    outcome = run_on_board(artefact, *QUICK, **changed)
    assert outcome.code == 0
    assert said in outcome.stdout
    assert "build_serialized_network" in outcome.names()


def test_damaged_engine_is_built_again(artefact: Path) -> None:
    run_on_board(artefact, *QUICK)
    (artefact / "model.engine").write_bytes(b"half a")
    outcome = run_on_board(artefact, *QUICK)
    assert outcome.code == 0
    assert "damaged" in outcome.stdout


def test_small_workspace_is_doubled_once(artefact: Path) -> None:
    outcome = run_on_board(artefact, *QUICK, STAND_IN_FAULT="small workspace")
    assert outcome.code == 0
    assert [call[1] for call in outcome.calls if call[0] == "workspace"] == [1024, 2048]


FAILURES = {
    "parser": "cannot parse the model",
    "none": "could not build the engine",
    "no tactic": "find any implementation",
    "out of memory": "out of memory while building",
    "killed": "lack of memory",
    "crash": "signal 11",
    "load": "cannot load",
    "context": "cannot create an execution context",
    "enqueue": "could not start the inference",
    "interrupted": "interrupted",
}


@pytest.mark.parametrize("fault", FAILURES)
@pytest.mark.parametrize("board", BOARDS)
def test_failure_is_one_message_and_exit_code_2(
    pristine: dict[str, Path], tmp_path: Path, board: str, fault: str
) -> None:
    folder = Path(shutil.copytree(pristine[board], tmp_path / "artefact"))
    outcome = run_on_board(folder, *QUICK, board=board, STAND_IN_FAULT=fault)
    assert outcome.code == 2
    assert FAILURES[fault] in outcome.stderr
    assert outcome.stderr.count("build_engine.py:") == 1
    assert "Traceback" not in outcome.stderr
    assert outcome.result is not None
    assert outcome.result["status"] == "failed"


def test_parser_error_names_the_node(pristine: dict[str, Path], tmp_path: Path) -> None:
    new = Path(shutil.copytree(pristine["jetson-agx-orin"], tmp_path / "new"))
    assert "node 3 Frobnicate 'frob'" in run_on_board(new, board="jetson-agx-orin", STAND_IN_FAULT="parser").stderr


@pytest.mark.parametrize("fault", ["wrong outputs", "nan"])
def test_wrong_outputs_end_in_exit_code_1(artefact: Path, fault: str) -> None:
    outcome = run_on_board(artefact, *QUICK, STAND_IN_FAULT=fault)
    assert outcome.code == 1
    assert "'y'" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.result is not None
    assert outcome.result["status"] == "outputs differ"
    assert "latency_ms" not in outcome.result


def test_older_tensorrt_is_refused_before_building(pristine: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pristine["jetson-agx-orin"], tmp_path / "artefact"))
    outcome = run_on_board(folder, board="jetson-agx-orin", STAND_IN_VERSION="8.2.1.8")
    assert outcome.code == 2
    assert 'software.tensorrt = "8.2.1.8"' in outcome.stderr
    assert "parse_from_file" not in outcome.names()


def test_newer_tensorrt_and_other_gpu_are_warned_of(artefact: Path) -> None:
    outcome = run_on_board(artefact, *QUICK, STAND_IN_VERSION="10.3.0", STAND_IN_SM="87")
    assert outcome.code == 0
    assert outcome.result is not None
    assert [warning[:28] for warning in outcome.result["warnings"]] == [
        "this board has TensorRT 10.3",
        "this GPU is sm_87, but the a",
    ]
    assert outcome.stderr.count("warning:") == 2


@pytest.mark.parametrize("function", ["cudaStreamCreate", "cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync"])
def test_cuda_error_is_named(artefact: Path, function: str) -> None:
    outcome = run_on_board(artefact, *QUICK, STAND_IN_CUDA_FAULT=function)
    assert outcome.code == 2
    assert f"{function} failed with error 2: out of memory" in outcome.stderr


def test_no_tensorrt_says_where_it_is(artefact: Path) -> None:
    outcome = run_on_board(artefact, PYTHONPATH="")
    assert outcome.code == 2
    assert "/usr/bin/python3" in outcome.stderr


def test_no_numpy_says_how_to_get_it(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('no numpy here')")
    outcome = run_on_board(artefact, PYTHONPATH=str(tmp_path))
    assert outcome.code == 2
    assert "python3-numpy" in outcome.stderr


def test_no_cuda_runtime_is_one_message(artefact: Path) -> None:
    outcome = run_on_board(artefact, LD_LIBRARY_PATH="")
    assert outcome.code == 2
    assert "CUDA" in outcome.stderr  # no library, or one without a driver
    assert "Traceback" not in outcome.stderr


def test_altered_model_is_refused(artefact: Path) -> None:
    with (artefact / "model.onnx").open("ab") as file:
        file.write(b"\0")
    outcome = run_on_board(artefact)
    assert outcome.code == 2
    assert "altered" in outcome.stderr


def test_missing_model_is_named(artefact: Path) -> None:
    (artefact / "model.onnx").unlink()
    outcome = run_on_board(artefact)
    assert outcome.code == 2
    assert "model.onnx: No such file" in outcome.stderr


@pytest.mark.parametrize("name", ["manifest.json", "golden/inputs/0.npy", "onboard/measure.py", "SHA256SUMS"])
def test_altered_files_are_refused_before_anything_is_done(artefact: Path, name: str) -> None:
    with (artefact / name).open("ab") as file:
        file.write(b"#")
    outcome = run_on_board(artefact, *QUICK)
    assert (outcome.code, outcome.calls) == (2, [])
    assert name in outcome.stderr
    assert "Copy the whole artefact folder again" in outcome.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runtime": {}}'])
def test_damaged_manifest_is_refused(artefact: Path, text: str) -> None:
    (artefact / "manifest.json").write_text(text)
    renew_sums(artefact)
    outcome = run_on_board(artefact)
    assert outcome.code == 2
    assert "manifest.json is damaged" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_path_out_of_the_folder_is_refused(artefact: Path) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    manifest["inputs"][0]["golden"] = "../../secret.npy"
    write_manifest(artefact, manifest)
    outcome = run_on_board(artefact)
    assert outcome.code == 2
    assert "outside the artefact" in outcome.stderr


@pytest.mark.parametrize("content", [b"", b"no numpy file"])
def test_damaged_golden_data_is_named(artefact: Path, content: bytes) -> None:
    (artefact / "golden/outputs/0.npy").write_bytes(content)
    renew_sums(artefact)
    outcome = run_on_board(artefact, *QUICK)
    assert outcome.code == 2
    assert "golden/outputs/0.npy" in outcome.stderr


def test_golden_data_of_another_shape_is_named(artefact: Path) -> None:
    np.save(artefact / "golden/inputs/0.npy", np.zeros(3, np.float32))
    renew_sums(artefact)
    outcome = run_on_board(artefact, *QUICK)
    assert outcome.code == 2
    assert "shape (3,)" in outcome.stderr


def test_debug_shows_the_traceback(artefact: Path) -> None:
    assert "Traceback" in run_on_board(artefact, "--debug", STAND_IN_FAULT="load").stderr


@pytest.mark.parametrize("arguments", [("--runs", "0"), ("--warmup", "-1"), ("--nonsense",)])
def test_wrong_arguments_end_in_exit_code_2(artefact: Path, arguments: tuple[str, ...]) -> None:
    outcome = run_on_board(artefact, *arguments)
    assert outcome.code == 2
    assert "usage:" in outcome.stderr


def test_build_only_neither_runs_nor_measures(artefact: Path) -> None:
    outcome = run_on_board(artefact, "--build-only")
    assert "build_serialized_network" in outcome.names()
    assert outcome.code == 0
    assert outcome.result is None
    assert (artefact / "model.engine").exists()


def test_build_sh_passes_options_and_exit_code_on(artefact: Path) -> None:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(artefact / "build.sh"), *arguments],
            env=board_environment("jetson-tx2") | {"PYTHON": sys.executable} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(*QUICK).returncode == 0
    assert run(*QUICK, STAND_IN_FAULT="wrong outputs").returncode == 1
    assert "--force" in run("--help").stdout
