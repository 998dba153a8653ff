"""Speed-up of two threads over one. Prints the table in docs/results/cpu.md.

`python bench/threads.py [NETWORK ...] [--threads 2] [--plan]`

One artefact a network, compiled for that many threads, runs with one thread and with all of them by turns; wall time,
medians. Nothing else may run on the machine. `--plan` shows what the lowering allows instead, from CPU time: the
speed-up if tasks cost nothing to hand out, and the kernels that lose most because their tasks do not divide evenly.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from networks import NETWORKS, network
from tvm import relax, tirx

import edgec
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.record import Record
from edgec.reference.golden import golden_inputs
from edgec.targets.board import load_board
from edgec.targets.tvm import TvmTarget
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.executable import executable
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_relax

ROUNDS, SECONDS = 9, 0.15
"""Turns, and seconds of each."""
SHOWN = 6
PARALLEL = 1
"""TIR's kind of a parallel loop."""
HEADER = "| network | 1 thread ms | {threads} threads ms | speed-up |\n| --- | --- | --- | --- |"


@dataclass(frozen=True)
class Scaling:
    """Median milliseconds of one inference with one thread and with several."""

    network: str
    one: float
    several: float

    @property
    def speedup(self) -> float:
        """How many times faster several threads are."""
        return self.one / self.several

    def __str__(self) -> str:
        return f"| {self.network} | {self.one:.2f} | {self.several:.2f} | {self.speedup:.2f} |"


def artefact_of(name: str, threads: int, folder: Path) -> edgec.Artefact:
    """Return the artefact of a network of `networks.NETWORKS`, compiled for `threads` threads of this machine."""
    return edgec.compile(network(name), target="host", threads=threads, output=folder / name)


def scaling(artefact: edgec.Artefact, name: str, threads: int) -> Scaling:
    """Measure one network by turns, so that both numbers of threads meet the same machine."""
    runners = [artefact.runner(count) for count in (1, threads)]
    feeds = artefact.golden_inputs()
    # The first calls wake the workers and touch the memory.
    runs = max(3, round(SECONDS / statistics.median(runners[0].bench(feeds, warmup=2, runs=3))))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for runner, taken in zip(runners, times, strict=True):
            taken.append(statistics.median(runner.bench(feeds, warmup=1, runs=runs)))
    one, several = (1e3 * statistics.median(taken) for taken in times)
    return Scaling(name, one, several)


def table(names: list[str], threads: int = 2) -> Iterator[Scaling]:
    """Yield the rows of the table, each as soon as it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            yield scaling(artefact_of(name, threads, Path(folder)), name, threads)


def tasks_of(network_name: str, threads: int) -> list[str]:
    """Return what limits the speed-up by the plan alone: CPU time of each kernel, and how its tasks divide.

    Not disturbed by other work on the machine. A kernel's parallel loops are taken to cost the same each task.
    """
    board = load_board("host").model_copy(update={"threads": threads})
    model = network(network_name)
    options = CompileOptions(target="host")
    canonical = pipeline.run(model, profile=TvmTarget().profile(board), options=options, record=Record())
    target = llvm_target(resolve(board))
    lowered = lower_relax(to_relax(canonical), board)
    loops = {name.name_hint: _parallel_extents(function) for name, function in lowered.functions_items()}
    machine = relax.VirtualMachine(executable(lowered, target), tvm.cpu())
    arguments = [tvm.runtime.tensor(array) for array in golden_inputs(inputs_of(model), 0).values()]
    times = _kernel_times(machine, arguments)
    shares = {name: _share(loops.get(name, []), threads) for name in times}
    whole, planned = sum(times.values()), sum(spent * shares[name] for name, spent in times.items())
    lines = [f"{network_name}: {whole:.0f} us, planned speed-up {whole / planned:.2f}"]
    lost = {name: spent * (shares[name] - 1 / threads) for name, spent in times.items()}
    for name in sorted(lost, key=lambda name: -lost[name])[:SHOWN]:
        lines.append(f"    {name}: {times[name]:.0f} us in tasks {loops.get(name)}, {lost[name]:.0f} us lost")
    return lines


def _parallel_extents(function: Any) -> list[int]:
    extents: list[int] = []
    if isinstance(function, tirx.PrimFunc):
        tvm_ffi.structural_walk(
            function.body,
            (tirx.For, lambda loop: extents.append(int(loop.extent)) if int(loop.kind) == PARALLEL else None),
        )
    return extents


def _share(extents: list[int], threads: int) -> float:
    """Return the share of a kernel's work that the thread with most of it has."""
    return max((-(-extent // threads) / extent for extent in extents), default=1.0)


def _kernel_times(machine: relax.VirtualMachine, arguments: list[Any]) -> dict[str, float]:
    """Return the CPU microseconds of all calls of each kernel in one inference of one thread, medians."""
    totals: dict[str, float] = defaultdict(float)
    samples: dict[str, list[float]] = defaultdict(list)
    began = 0

    def note(_function: Any, name: str, before: bool, *_rest: Any) -> int:
        nonlocal began
        if before:
            began = time.thread_time_ns()
        elif not name.startswith("vm."):
            totals[name] += (time.thread_time_ns() - began) / 1e3
        return 0

    machine["main"](*arguments)
    machine.set_instrument(note)
    for _ in range(ROUNDS):
        totals.clear()
        machine["main"](*arguments)
        for name, total in totals.items():
            samples[name].append(total)
    return {name: statistics.median(taken) for name, taken in samples.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plan", action="store_true", help="what the plan allows, and the kernels that limit it")
    options = parser.parse_args()
    if options.plan:
        tvm.get_global_func("runtime.config_threadpool")(-2, 1, ["0"])  # kernels run on the calling thread
        for name in options.networks:
            print("\n".join(tasks_of(name, options.threads)), flush=True)
        return
    print(HEADER.format(threads=options.threads))
    for row in table(options.networks, options.threads):
        print(row, flush=True)


if __name__ == "__main__":
    main()
