"""Times of ARM boards from what is counted under emulation: the tools, the report, the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgec.errors import BadOption, CannotRunHere, MissingDependency
from edgec.targets.base import RunContext
from edgec.targets.board import Board, load_board
from edgec.targets.emulated_time import Counts
from edgec.targets.tvm import run_process
from edgec.targets.tvm.emulated import mca
from edgec.targets.tvm.emulated.plugin import api_of, options, read_reports
from edgec.targets.tvm.emulated.time_model import CORES, core_of, counted, time_of

REPORT = """== insn_count region 0 (marker)
total 100
fmla_vec                      40  40.00%
branch                        60  60.00%
cache_misses 7
cache_misses 3
block 10 4f9512d2 54ffffa1
block 30 d503201f 54ffffa1
"""
MCA = """
[0] Code Region - block 0

Iterations:        100
Instructions:      200
Total Cycles:      103

[1] Code Region - block 1

Iterations:        100
Total Cycles:      250
"""
COUNTS = Counts(
    instructions=100_000_000, multiply_adds=60_000_000, cycles=9e7, l1_misses=4_000_000, memory_misses=10**6
)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_report_is_read() -> None:
    report, second = read_reports(REPORT + REPORT)
    assert report == second
    assert (report.total, report.multiply_adds, report.misses) == (100, 40, (7, 3))
    assert report.blocks == ((10, ("4f9512d2", "54ffffa1")), (30, ("d503201f", "54ffffa1")))


def test_blocks_that_are_not_listed_count_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.targets.tvm.emulated.time_model.cycles", lambda blocks, core, tools: [1.0, 2.0])
    (counts,) = counted(read_reports(REPORT), CORES[0], mca.Tools("", ""))
    assert counts == Counts(100, 40, cycles=(10 * 1 + 30 * 2) * 100 / 80, l1_misses=7, memory_misses=3)


def test_the_cycles_of_regions_are_read() -> None:
    assert mca.total_cycles(MCA) == {0: 1.03, 1: 2.5}


def test_caches_reach_the_emulator() -> None:
    flag, text = options(Path("p.so"), Path("out"), [(32768, 2), (1048576, 16)])
    assert (flag, text) == ("-plugin", "p.so,start=off,out=out,cover=0.995,cache=32768:2,cache=1048576:16")
    with pytest.raises(BadOption, match="no path with a comma"):
        options(Path("a,b/p.so"), Path("out"), [])


@pytest.mark.parametrize(("version", "api"), [("7.2.22", 1), ("8.2.2", 1), ("9.0.0", 2), ("10.0.2", 2)])
def test_the_plugin_is_built_for_the_emulator_that_is_there(version: str, api: int, tools: Path) -> None:
    program(tools / "qemu", f"echo qemu-aarch64 version {version}")
    assert api_of(str(tools / "qemu")) == api


def test_without_llvm_the_remedy_is_the_command_that_installs_it(tools: Path) -> None:
    with pytest.raises(
        MissingDependency, match=r"llvm-mca of LLVM 16 or newer is needed.*\nsudo apt-get install llvm-19"
    ):
        mca.find_tools()


def test_an_old_llvm_is_not_taken(tools: Path) -> None:
    for name in ("llvm-mc", "llvm-mca"):
        program(tools / name, "echo Debian LLVM version 14.0.6")
    with pytest.raises(MissingDependency):
        mca.find_tools()
    program(tools / "llvm-mca", "echo LLVM version 18.1.3")
    assert mca.find_tools().mca == str(tools / "llvm-mca")


def test_a_block_that_the_model_lacks_takes_half_a_cycle_an_instruction(tools: Path) -> None:
    program(tools / "llvm-mc-19", "echo .text; echo nop; echo b '#-8'")
    program(tools / "llvm-mca-19", "exit 1")
    assert mca.cycles([("d503201f", "17fffffe"), ("d503201f",)], "cortex-a53", mca.find_tools()) == [1.0, 0.5]


def test_an_emulator_without_plugins_is_told(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_process, "find_tools", lambda: mca.Tools("", ""))
    monkeypatch.setattr(run_process.plugin, "build", lambda folder, emulator: folder / "plugin.so")
    program(tools / "qemu-aarch64", "echo \"qemu: unknown option 'plugin'\" >&2; exit 1")
    context = RunContext(tools, load_board("rpi4"), (), (), {}, threads=1)
    with pytest.raises(CannotRunHere, match="qemu-aarch64 takes no plugins"):
        run_process.ProcessRunner(context, (str(tools / "qemu-aarch64"),)).count({})
    with pytest.raises(BadOption, match="not emulated on this machine"):
        run_process.ProcessRunner(context).count({})


@pytest.mark.parametrize("name", ["rpi3", "rpi4", "rpi5"])
def test_a_known_board_has_constants_of_its_own(name: str) -> None:
    board = load_board(name)
    own, like_it = time_of(COUNTS, board), time_of(COUNTS, board.model_copy(update={"name": "mine"}))
    assert own.basis == "published times of this board"
    assert own.low_ms < own.ms < own.high_ms
    assert own.high_ms / own.low_ms < like_it.high_ms / like_it.low_ms
    assert own.ms == pytest.approx(like_it.ms, rel=0.25)


def test_the_time_goes_with_the_clock() -> None:
    board = load_board("rk3588")
    twice = board.model_copy(update={"max_mhz": 2 * (board.max_mhz or 0)})
    assert time_of(COUNTS, twice).ms == pytest.approx(time_of(COUNTS, board).ms / 2)


def test_one_measured_network_corrects_the_time_and_narrows_the_band() -> None:
    board = load_board("rk3588")
    first, other = time_of(COUNTS, board), replace(COUNTS, cycles=8e7)
    expected = time_of(other, board).ms
    as_expected = time_of(COUNTS, board, (other, expected))
    assert as_expected.ms == pytest.approx(first.ms)
    assert as_expected.high_ms / as_expected.low_ms < first.high_ms / first.low_ms
    slower = time_of(COUNTS, board, (other, 1.5 * expected))
    assert first.ms < slower.ms < 1.5 * first.ms


def test_other_boards_are_refused() -> None:
    with pytest.raises(BadOption, match="no time model of the CPU neoverse-v1"):
        core_of(load_board("graviton3"))
    clockless: Board = load_board("rpi4").model_copy(update={"max_mhz": None})
    with pytest.raises(BadOption, match="states no clock"):
        time_of(COUNTS, clockless)
