"""Instruction sets of the machine edgec runs on."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def machine_flags() -> frozenset[str]:
    """Return this machine's instruction sets as /proc/cpuinfo names them; empty where it cannot be read."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    key = "Features" if platform.machine() == "aarch64" else "flags"
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith(key)), frozenset())
