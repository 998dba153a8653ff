"""What the script reads of the board, from a file tree like the board's, and what it warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.targets.tensorrt.board.machine import Machine, read_machine, warnings_for
from edgec.targets.tensorrt.board.settings import Settings

READY = Machine(
    "NVIDIA Jetson TX2", "32.7.6", free_mib=6000, swap_mib=4000, power_mode="MAXN", gpu_mhz=(1300.5, 1300.5)
)
SETTINGS = Settings(
    folder=".", model="model.onnx", model_sha256="", board="jetson-tx2", tensorrt="8.2.1", sm=62, precision="fp16",
    workspace_mib=1024, needed_mib=2000, inputs=[], outputs=[],
)  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Path:
    files = {
        "proc/device-tree/model": "NVIDIA Jetson TX2 Developer Kit\0",
        "etc/nv_tegra_release": "# R32 (release), REVISION: 7.6, GCID: 38171779, BOARD: t186ref, EABI: aarch64",
        "proc/meminfo": "MemTotal: 8048312 kB\nMemAvailable:    5120000 kB\nSwapFree:  2097152 kB\n",
        "sys/class/devfreq/17000000.gp10b/min_freq": "114750000\n",
        "sys/class/devfreq/17000000.gp10b/max_freq": "1300500000\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_reads_the_board(board: Path) -> None:
    machine = read_machine(str(board))
    assert machine.model == "NVIDIA Jetson TX2 Developer Kit"
    assert machine.l4t == "32.7.6"
    assert (machine.free_mib, machine.swap_mib) == (5000, 2048)
    assert machine.gpu_mhz == (114.75, 1300.5)


def test_another_machine_has_none_of_it(tmp_path: Path) -> None:
    assert read_machine(str(tmp_path)) == Machine(None, None, None, None, None, None)


def test_power_mode_is_asked_of_nvpmodel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\necho 'NV Fan Mode:quiet'\necho 'NV Power Mode: MAXQ'\necho 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert read_machine(str(tmp_path)).power_mode == "MAXQ"


def test_a_ready_board_gives_no_warning() -> None:
    assert warnings_for(SETTINGS, READY, 62) == []
    assert warnings_for(SETTINGS, Machine(None, None, None, None, None, None), None) == []


@pytest.mark.parametrize(
    ("machine", "sm", "said"),
    [
        (READY, 53, ("sm_53", "jetson-tx2")),
        (READY._replace(free_mib=900), 62, ("900 MiB", "2000 MiB", "swapon")),
        (READY._replace(power_mode="MAXQ"), 62, ("MAXQ", "sudo nvpmodel -m 0")),
        (READY._replace(gpu_mhz=(114.75, 1300.5)), 62, ("115 and 1300 MHz", "sudo jetson_clocks")),
    ],
)
def test_each_warning_says_what_to_do(machine: Machine, sm: int, said: tuple[str, ...]) -> None:
    (warning,) = warnings_for(SETTINGS, machine, sm)
    assert all(part in warning for part in said)
