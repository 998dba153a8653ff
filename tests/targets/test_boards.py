"""Board records: all of them load and say nothing that contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec import registry
from edgec.errors import BadOption
from edgec.targets.board import Board, board_names, load_board

BOARDS = board_names()
TENSORRT = [name for name in BOARDS if load_board(name).backend == "tensorrt"]


@pytest.mark.parametrize("name", BOARDS)
def test_record_is_consistent(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.threads <= board.cores
    assert board.backend in registry.names("targets")
    assert board.triple.endswith("-linux-gnu")
    assert "fp32" in board.precisions
    assert board.memory_mib >= 512


@pytest.mark.parametrize("name", TENSORRT)
def test_jetson_states_its_software_and_gpu(name: str) -> None:
    board = load_board(name)
    assert {"jetpack", "l4t", "tensorrt", "cuda", "python", "ubuntu"} <= set(board.software)
    assert board.gpu is not None
    assert board.bandwidth_gbs is not None
    assert board.glibc is not None
    assert board.architecture == "aarch64"


@pytest.mark.parametrize("name", TENSORRT)
def test_int8_is_offered_only_from_sm_72_on(name: str) -> None:
    board = load_board(name)
    assert board.gpu is not None
    assert ("int8" in board.precisions) == (board.gpu.sm >= 72) == (board.gpu.int8_tops is not None)


@pytest.mark.parametrize("name", TENSORRT)
def test_peak_rates_follow_from_cores_and_clock(name: str) -> None:
    gpu = load_board(name).gpu
    assert gpu is not None
    assert gpu.fp32_gflops == pytest.approx(gpu.cuda_cores * 2 * gpu.max_mhz / 1e3, rel=2e-3)
    if gpu.tensor_cores:  # 64 fused multiply-adds per clock and tensor core on Volta, 256 on Ampere
        fma = {"Volta": 64, "Ampere": 256}[gpu.architecture]
        assert gpu.fp16_gflops == pytest.approx(gpu.tensor_cores * fma * 2 * gpu.max_mhz / 1e3, rel=1e-2)
    else:
        assert gpu.fp16_gflops == pytest.approx(2 * gpu.fp32_gflops, rel=2e-3)


def test_the_jetsons_are_all_there() -> None:
    family = ("tx2", "nano", "xavier-nx", "agx-xavier", "orin-nano", "orin-nx", "agx-orin")
    assert {f"jetson-{name}" for name in family} <= set(TENSORRT)


def test_tx2_and_nano_stay_on_tensorrt_8_2_and_python_3_6() -> None:
    for name in ("jetson-tx2", "jetson-nano"):
        software = load_board(name).software
        assert (software["tensorrt"], software["python"]) == ("8.2.1", "3.6")


def test_unknown_name_lists_near_matches() -> None:
    with pytest.raises(BadOption, match="jetson-tx2") as caught:
        load_board("jetson-tx")
    assert "'jetson-tx'" in caught.value.problem


RECORD = """
name = "mine"
title = "My board"
backend = "tensorrt"
triple = "aarch64-linux-gnu"
cpu = "carmel"
cores = 6
threads = 6
memory_mib = 8192
precisions = ["fp32", "fp16"]
software = { tensorrt = "8.2.1" }
"""


def test_own_board_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECORD)
    board = load_board(str(path))
    assert isinstance(board, Board)
    assert board.software["tensorrt"] == "8.2.1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('backend = "tensorrt"\n', "", "backend"),
        ("cores = 6", "cores = 0", "cores"),
        ("threads = 6", 'threads = 6\ncolour = "red"', "colour"),
        ('"fp16"', '"fp12"', "precisions"),
        ('name = "mine"', "name = mine", "Invalid value"),
    ],
)
def test_wrong_board_file_is_named_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECORD.replace(old, new))
    with pytest.raises(BadOption, match=message) as caught:
        load_board(str(path))
    assert "mine.toml" in str(caught.value)


def test_missing_board_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"nothing\.toml"):
        load_board(str(tmp_path / "nothing.toml"))


def test_binary_board_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadOption, match=r"mine\.toml"):
        load_board(str(path))
