"""CPU seconds of compiling, stage by stage, and wall time of doing it again: docs/results/compile-time.md.

`python bench/compile_time.py [NETWORK ...] [--target host]`

The first compilation meets an empty cache of libraries (tools are built before); CPU seconds are those of this process
and its children, without starting Python and importing TVM.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import tvm
from networks import NETWORKS, network

import edgec
from edgec.targets.tvm import cache
from edgec.targets.tvm.cache import cache_folder

assert tvm.__version__  # imported before anything is timed
STAGES = {"import into TVM": "lower", "lower": "lower", "generate code": "generate code", "link": "link"}
"""Stage of the record -> column; what is not listed is the network's own: load, reference, passes."""
COLUMNS = ("lower", "generate code", "link")
HEADER = (
    "| network | lower | generate code | link | module, CPU s | all, wall s | again, wall s |\n" + "| --- " * 7 + "|"
)


@dataclass(frozen=True)
class CompileTime:
    """CPU seconds of a module's stages; wall seconds of the whole first and second compilation."""

    network: str
    stages: dict[str, float]
    first: float
    second: float

    @property
    def module(self) -> float:
        """CPU seconds from the canonical ONNX model to the linked library."""
        return sum(self.stages.values())

    def __str__(self) -> str:
        stages = " | ".join(f"{self.stages[column]:.1f}" for column in COLUMNS)
        return f"| {self.network} | {stages} | {self.module:.1f} | {self.first:.1f} | {self.second:.1f} |"


class _Stopwatch:
    """Sums CPU seconds by column; its `enter` is a listener of `edgec.compile`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._column, self._since = "", _cpu_seconds()

    def enter(self, stage: str) -> None:
        now = _cpu_seconds()
        self.seconds[self._column] += now - self._since
        self._column, self._since = STAGES.get(stage, ""), now


def measure(name: str, target: str = "host") -> CompileTime:
    """Compile one network of `networks.NETWORKS` twice."""
    model = network(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(cache_folder() / "runner", folder / "cache" / "runner")
        cache.cache_folder = lambda: folder / "cache"  # type: ignore[assignment]  # of libraries: an empty one
        watch = _Stopwatch()
        first = _compile(model, target, folder / "first", watch)
        second = _compile(model, target, folder / "second", _Stopwatch())
    return CompileTime(name, {column: watch.seconds[column] for column in COLUMNS}, first, second)


def table(names: list[str], target: str = "host") -> Iterator[CompileTime]:
    """Yield the rows of the table, each as soon as it is measured."""
    with tempfile.TemporaryDirectory() as scratch:  # what is made once for all: edgec-run, zig's libraries
        _compile(network("light_squeezenet"), target, Path(scratch) / "artefact", _Stopwatch())
    for name in names:
        yield measure(name, target)


def _compile(model: ir.Model, target: str, folder: Path, watch: _Stopwatch) -> float:
    began = time.perf_counter()
    edgec.compile(model, target=target, output=folder, progress=watch.enter)
    watch.enter("")
    return time.perf_counter() - began


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--target", default="host")
    options = parser.parse_args()
    print(HEADER + "| --- " * 7 + "|")
    for row in table(options.networks, options.target):
        print(row, flush=True)


if __name__ == "__main__":
    main()
