"""The CPU of the machine edgec runs on, as Linux describes it."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MODEL_FIELDS = frozenset(
    (
        *("vendor_id", "cpu family", "model", "stepping", "flags"),  # x86-64
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),  # AArch64
    )
)


def machine_flags() -> frozenset[str]:
    """Return this machine's instruction sets as /proc/cpuinfo names them; empty where it cannot be read."""
    key = "Features" if platform.machine() == "aarch64" else "flags"
    return next((frozenset(value.split()) for name, value in _cpu_fields() if name == key), frozenset())


def machine_identity() -> str:
    """Return CPU models and cache sizes as a text: it is equal on machines for which the same code is generated."""
    fields = sorted({f"{name}: {value}" for name, value in _cpu_fields() if name in MODEL_FIELDS})
    caches = [
        f"L{_text(index / 'level')} {_text(index / 'type')} {_text(index / 'size')}"
        for index in sorted(CACHES.glob("index*"))
    ]
    return "\n".join([platform.machine(), *fields, *caches])


def _cpu_fields() -> list[tuple[str, str]]:
    pairs = (line.partition(":")[::2] for line in _text(CPUINFO).splitlines())
    return [(name.strip(), value.strip()) for name, value in pairs]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
