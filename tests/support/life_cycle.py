"""Loads of an artefact: by how much a process grows that opens and closes them, and what a forked child gets of one."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import edgec
from edgec.targets.base import Runner

LOADS = """
import gc, os, sys
from pathlib import Path
import edgec

opened = edgec.Artefact.open(sys.argv[1])
golden, expected = opened.golden_inputs(), opened.golden_outputs()["y"]
for load in range(8 + int(sys.argv[3])):
    if load == 8:  # the allocator has settled
        gc.collect()
        before = int(Path("/proc/self/statm").read_text().split()[1]), len(os.listdir("/proc/self/task"))
    runner = opened.runner(threads=2)
    assert abs(runner.run(golden)["y"] - expected).max() < 1e-3
    if sys.argv[2] == "close":
        runner.close()
    elif sys.argv[2] == "with":
        with runner:
            pass
    del runner
    gc.collect()
after = int(Path("/proc/self/statm").read_text().split()[1]), len(os.listdir("/proc/self/task"))
print((after[0] - before[0]) * os.sysconf("SC_PAGE_SIZE"), after[1] - before[1])
"""
"""Prints by how many bytes and threads the process grew."""
WAYS = ("close", "with", "drop")
"""How a runner is closed."""


def grown(artefact: Path, way: str, loads: int) -> tuple[int, int]:
    """Return by how many bytes and threads a process grows that loads `artefact`, whose output is y, and closes it.

    In a process of its own: what was left to the allocator before would come and go in the measurement.
    """
    command = [sys.executable, "-c", LOADS, artefact, way, str(loads)]
    done = subprocess.run(command, timeout=60 + 2 * loads, capture_output=True, text=True, check=True)
    size, threads = map(int, done.stdout.split())
    return size, threads


def run_in_fork(runner: Runner, artefact: Path, feeds: dict[str, np.ndarray[Any, Any]], folder: Path) -> list[Any]:
    """Return the output y that a forked child gets from `runner`, and from one that it loads itself."""
    process = multiprocessing.get_context("fork").Process(target=_child, args=(runner, artefact, feeds, folder))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return [np.load(folder / name) for name in ("child.npy", "own.npy")]


def _child(runner: Runner, artefact: Path, feeds: dict[str, np.ndarray[Any, Any]], folder: Path) -> None:
    np.save(folder / "child.npy", runner.run(feeds)["y"])
    with edgec.load(artefact, threads=1) as own:
        np.save(folder / "own.npy", own.run(feeds)["y"])
