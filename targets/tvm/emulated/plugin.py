"""The emulator's counting plugin: its build, its options, and its report."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from edgec.errors import BadOption
from edgec.targets.tvm.emulated.mca import Block
from edgec.targets.tvm.zig import zig

SOURCE = "insn_count.c"
FIRST_WITH_API_2 = 9
"""Version of qemu whose plugin interface refuses plugins of version 1."""
MULTIPLY_ADDS = ("fmla_vec", "fmla_fp16", "sdot_udot", "i8mm", "mul_widening", "pair_add_acc")
"""Classes in the report of instructions that multiply and add vectors, or are half of such a pair."""
COVER = 0.995
"""Share of the instructions whose blocks are listed; the many other blocks hardly matter."""


@dataclass(frozen=True)
class Report:
    """The executed work: instructions by class, executions and opcodes of blocks, misses of each cache."""

    total: int
    classes: dict[str, int]
    blocks: tuple[tuple[int, Block], ...]
    misses: tuple[int, ...]

    @property
    def multiply_adds(self) -> int:
        """Instructions that multiply and add vectors."""
        return sum(self.classes.get(name, 0) for name in MULTIPLY_ADDS)


def api_of(emulator: str) -> int:
    """Return the version of the plugin interface that an emulator supports, which its message states."""
    told = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", told)
    return 2 if found and int(found[1]) >= FIRST_WITH_API_2 else 1


def build(folder: Path, emulator: str) -> Path:
    """Build the plugin for `emulator`, qemu's program on this machine, in `folder` and return its path.

    Raises:
        MissingDependency: `ziglang` is not installed.
    """
    with resources.as_file(resources.files(__package__) / SOURCE) as source:
        built = folder / "insn_count.so"
        flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-DAPI={api_of(emulator)}"]
        zig("cc", [*flags, "-o", str(built), str(source)], folder)
    return built


def options(plugin: Path, report: Path, caches: Iterable[tuple[int, int]]) -> tuple[str, str]:
    """Return the emulator's arguments to count between the markers, with simulated `caches` of (bytes, ways).

    Raises:
        BadOption: A path has a comma, which ends an option.
    """
    if "," in f"{plugin}{report}":
        raise BadOption(f"{plugin.parent}: the emulator takes no path with a comma", remedy="Set TMPDIR to another.")
    shapes = "".join(f",cache={size}:{ways}" for size, ways in caches)
    return "-plugin", f"{plugin},start=off,out={report},cover={COVER}{shapes}"


def read_reports(text: str) -> list[Report]:
    """Return the counts of each region of a report."""
    return [_read(region) for region in text.split("== insn_count region")[1:]]


def _read(region: str) -> Report:
    classes: dict[str, int] = {}
    blocks: list[tuple[int, Block]] = []
    misses: list[int] = []
    for line in region.splitlines()[1:]:
        name, number, *rest = line.split()
        if name == "block":
            blocks.append((int(number), tuple(rest)))
        elif name == "cache_misses":
            misses.append(int(number))
        else:
            classes[name] = int(number)
    total = classes.pop("total")
    return Report(total, classes, tuple(blocks), tuple(misses))
