"""Speed-up of two threads over one. Prints the table in docs/performance.md.

`python bench/threads.py [NETWORK ...] [--threads 2] [--kernels]`

One artefact a network, compiled for that many threads, runs with one thread and with all of them by turns; wall time,
medians. Nothing else may run on the machine. `--kernels` adds, per network, the kernels that gain least: time lost to
what does not scale, in microseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from networks import NETWORKS, network
from tvm import relax

import edgec
from edgec.targets.tvm.lower import LIBRARY
from edgec.targets.tvm.run_native import load_function

ROUNDS, SECONDS = 9, 0.15
"""Turns, and seconds of each."""
SHOWN = 6
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


def least_gaining(artefact: edgec.Artefact, threads: int) -> list[str]:
    """Return the kernels that lose most against an even split of their work, one line each, the worst first."""
    arguments = [tvm.runtime.tensor(array) for array in artefact.golden_inputs().values()]
    measured = [_kernel_times(artefact.folder / LIBRARY, count, arguments) for count in (1, threads)]
    lost = {name: several - measured[0][name] / threads for name, several in measured[1].items()}
    lines = []
    for name in sorted(lost, key=lambda name: -lost[name])[:SHOWN]:
        one, several = measured[0][name], measured[1][name]
        lines.append(f"    {name}: {one:.0f} us, {several:.0f} us ({one / several:.2f}), {lost[name]:.0f} us lost")
    return lines


def _kernel_times(library: Path, threads: int, arguments: list[Any]) -> dict[str, float]:
    """Return the microseconds of all calls of each kernel in one inference, the median of several."""

    def measure() -> dict[str, float]:
        load_function(library, threads)
        machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu(), profile=True)
        samples: dict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            totals: dict[str, float] = defaultdict(float)
            for call in machine.profile("main", *arguments).calls:
                totals[str(call["Name"])] += float(call["Duration (us)"].microseconds)
            for name, total in totals.items():
                samples[name].append(total)
        return {name: statistics.median(taken) for name, taken in samples.items()}

    with ThreadPoolExecutor(1) as pool:  # TVM's workers belong to the thread that calls
        return pool.submit(measure).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kernels", action="store_true", help="also list the kernels that gain least")
    options = parser.parse_args()
    if options.kernels:
        with tempfile.TemporaryDirectory() as folder:
            for name in options.networks:
                artefact = artefact_of(name, options.threads, Path(folder))
                print(scaling(artefact, name, options.threads), flush=True)
                print("\n".join(least_gaining(artefact, options.threads)), flush=True)
        return
    print(HEADER.format(threads=options.threads))
    for row in table(options.networks, options.threads):
        print(row, flush=True)


if __name__ == "__main__":
    main()
