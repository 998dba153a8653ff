"""Reads model, L4T version, free memory, power mode and GPU clock of this board; nothing is changed."""

import glob
import os
import re
import subprocess
from typing import List, NamedTuple, Optional, Tuple

from .settings import Settings


class Machine(NamedTuple):
    """State of the board; None where it cannot be read. Memory in MiB, clocks in MHz."""

    model: Optional[str]
    l4t: Optional[str]
    free_mib: Optional[int]
    swap_mib: Optional[int]
    power_mode: Optional[str]
    gpu_mhz: Optional[Tuple[float, float]]


def read_machine(root: str = "/") -> Machine:
    """Return the state of this board; `root` is the folder that contains /proc, /sys and /etc."""
    return Machine(
        model=_text(os.path.join(root, "proc/device-tree/model")),
        l4t=_l4t(_text(os.path.join(root, "etc/nv_tegra_release"))),
        free_mib=_meminfo(root, "MemAvailable"),
        swap_mib=_meminfo(root, "SwapFree"),
        power_mode=_power_mode(),
        gpu_mhz=_gpu_clock(root),
    )


def warnings_for(settings: Settings, machine: Machine, sm: Optional[int]) -> List[str]:
    """Return warnings about anything that may slow down, break or distort the build on this board, with remedies."""
    return [
        warning
        for warning in (
            _wrong_gpu(settings, sm),
            _little_memory(settings, machine),
            _power_saving(machine),
            _floating_clock(machine),
        )
        if warning
    ]


def _wrong_gpu(settings: Settings, sm: Optional[int]) -> Optional[str]:
    if sm is None or sm == settings.sm:
        return None
    return "this GPU is sm_{}, but the artefact was compiled for {} (sm_{}): compile it for this board.".format(
        sm, settings.board, settings.sm
    )


def _little_memory(settings: Settings, machine: Machine) -> Optional[str]:
    if machine.free_mib is None or machine.free_mib >= settings.needed_mib:
        return None
    return (
        "{} MiB of memory are free, but the build needs about {} MiB: stop the desktop (sudo systemctl isolate "
        "multi-user.target), close programs, or add swap (sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile "
        "&& sudo mkswap /swapfile && sudo swapon /swapfile).".format(machine.free_mib, settings.needed_mib)
    )


def _power_saving(machine: Machine) -> Optional[str]:
    if machine.power_mode is None or machine.power_mode.upper().startswith("MAXN"):
        return None
    return (
        "the power mode is {}, so latencies are not the best: choose MAXN, on most boards by sudo nvpmodel -m 0 "
        "(grep POWER_MODEL /etc/nvpmodel.conf lists them).".format(machine.power_mode)
    )


def _floating_clock(machine: Machine) -> Optional[str]:
    if machine.gpu_mhz is None or machine.gpu_mhz[0] >= machine.gpu_mhz[1]:
        return None
    return "the GPU clock varies between {:.0f} and {:.0f} MHz, so latencies will scatter: sudo jetson_clocks.".format(
        *machine.gpu_mhz
    )


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except OSError:
        return None


def _l4t(release: Optional[str]) -> Optional[str]:
    match = re.search(r"R(\d+).*?REVISION: ([\d.]+)", release or "")
    return "{}.{}".format(*match.groups()) if match else None


def _meminfo(root: str, key: str) -> Optional[int]:
    match = re.search(key + r":\s+(\d+) kB", _text(os.path.join(root, "proc/meminfo")) or "")
    return int(match.group(1)) // 1024 if match else None


def _power_mode() -> Optional[str]:
    try:
        answer = subprocess.run(
            ["nvpmodel", "-q"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"NV Power Mode: *(\S+)", answer.stdout.decode("utf-8", "replace"))
    return match.group(1) if match else None


def _gpu_clock(root: str) -> Optional[Tuple[float, float]]:
    # gp10b: TX2, gv11b: Xavier, ga10b: Orin, 57000000.gpu: Nano.
    for chip in ("*gp10b", "*gv11b", "*ga10b", "*.gpu"):
        for folder in sorted(glob.glob(os.path.join(root, "sys/class/devfreq", chip))):
            low, high = _text(os.path.join(folder, "min_freq")), _text(os.path.join(folder, "max_freq"))
            if low and high and low.isdigit() and high.isdigit():
                return int(low) / 1e6, int(high) / 1e6
    return None
