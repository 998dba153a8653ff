"""Count the AArch64 instructions a program executes, by class, under qemu-user with edgec's plugin.

`python bench/insn_count/count.py [--cpu cortex-a72] [--marked] [--top N] -- PROGRAM ARGS...`

Counts are exact and repeatable, but they are not time: caches and latencies do not enter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgec.targets.tvm import emulated
from edgec.targets.tvm.emulated.plugin import api_of, build

SOURCES = Path(emulated.__path__[0])
EMULATOR = "qemu-aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"
# qemu's `max` has vector extensions that no board here has.
CPU_MODELS = {"max": "max,sve=off,sme=off"}


def plugin() -> Path:
    """Return the plugin, built by zig on first use into the user's cache."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgec" / f"insn_count-{api_of(EMULATOR)}.so"
    )
    sources = [source for source in SOURCES.iterdir() if source.suffix in {".c", ".h"}]
    if not cache.exists() or cache.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
            build(Path(folder), EMULATOR).replace(cache)
    return cache


def run(
    command: Sequence[str | Path],
    *,
    cpu: str = "cortex-a72",
    marked: bool = True,
    top: int = 0,
    disassemble: bool = False,
    sysroot: str | Path = SYSROOT,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run an AArch64 `command` under qemu-user and return the report: one region a report marker, or the one at exit.

    Args:
        command: Program and arguments.
        cpu: qemu's CPU model.
        marked: Count only between the start and stop markers (`edgec-run --mark` sets them around one inference).
        top: How many of the hottest blocks the report lists, with their instructions.
        disassemble: Whether those are also written as assembly.
        sysroot: Folder that the program's absolute paths are looked up in first.
        environment: Variables that the program is given besides this process's.

    Raises:
        ValueError: The program failed, or nothing was counted, e.g. no marker was met.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        options = f"{plugin()},out={report}" + (",start=off" if marked else "") + (f",top={top}" if top else "")
        options += ",dis=on" if disassemble else ""
        emulator = [EMULATOR, "-cpu", CPU_MODELS.get(cpu, cpu), "-L", str(sysroot), "-plugin", options]
        for name, value in (environment or {}).items():
            emulator += ["-E", f"{name}={value}"]
        done = subprocess.run([*emulator, *map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"{command[0]} failed: {done.stderr.strip() or done.returncode}")
        if not report.exists():
            raise ValueError(f"nothing was counted: {command[0]} set no marker")
        return report.read_text()


def regions(report: str) -> list[dict[str, int]]:
    """Return the instructions by class, with `total`, of every region of a report."""
    found = []
    for region in report.split("== insn_count region")[1:]:
        lines = region.split("-- hot")[0].splitlines()[1:]
        found.append({name: int(number) for name, number, *_ in map(str.split, lines)})
    return found


def main() -> None:
    """Print the report of one program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", default="cortex-a72")
    parser.add_argument("--marked", action="store_true", help="count between the markers only")
    parser.add_argument("--top", type=int, default=0, help="also list the hottest blocks")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    top = {"top": options.top, "disassemble": True}
    print(run(options.command, cpu=options.cpu, marked=options.marked, **top))


if __name__ == "__main__":
    main()
