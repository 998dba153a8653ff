"""Convolutions inside whole networks, as shares of the multiply-add peak: "Kernels" in docs/results/cpu.md.

    python bench/kernels.py [--board x86-64-v3] [NETWORK ...]

Every kernel is timed where it stands, with the caches as the kernels before it leave them: CPU time of one thread,
median over inferences. The peak is that of a loop of multiply-adds in registers (fma_peak.c), run between inferences;
vectors are as wide as the board's. Multiply-adds are those of the direct convolution, without padding of channels, so
that Winograd kernels can exceed 100 %. Listed are layers of over 10 MMAC and at least 16 input channels.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import tvm
from networks import NETWORKS, network
from tvm import relax

from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from edgec.reference.golden import golden_inputs
from edgec.targets.board import Board, load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.report import LoweringReport
from edgec.targets.tvm.zig import zig

LEAST_MACS, LEAST_CHANNELS, WANTED = 10e6, 16, 0.9
LEAST_RUNS, LEAST_S = 15, 2.0
PEAK_ROUNDS = 100_000
LAYER = re.compile(r"(\d+)x\d+x\d+ > (\d+)x(\d+)x(\d+), (\d+)x(\d+)(.*): (.*)")


@dataclass(frozen=True)
class Kernel:
    """One kernel: rule, layer and tile as the report states them, its multiply-adds and its median seconds."""

    rule: str
    layer: str
    tile: str
    macs: int
    channels: int
    seconds: float


def lowered(model: ir.Model, board: Board) -> tuple[relax.VirtualMachine, LoweringReport]:
    """Compile for `board` and return the network, loaded here, and the lowering's report."""
    options = CompileOptions(target=board.name)
    canonical = pipeline.run(model, profile=Profile(), options=options, record=Record())
    target = llvm_target(resolve(board))
    done = lower_with_report(to_relax(canonical), cpu_model(board), target)
    return relax.VirtualMachine(relax.build(done.module, target=target), tvm.cpu()), done.report


def fma_peak(lanes: int, folder: Path) -> Callable[[], float]:
    """Return a function that measures multiply-adds a second of one thread on vectors of `lanes` floats."""
    shutil.copy(Path(__file__).parent / "fma_peak.c", folder)
    flags = ["-O2", "-ffp-contract=fast", "-mprefer-vector-width=512", f"-DBYTES={4 * lanes}", "-march=native"]
    zig("cc", [*flags, "-shared", "-fPIC", "-o", "fma_peak.so", "fma_peak.c"], folder)
    function = ctypes.CDLL(str(folder / "fma_peak.so")).fma_peak
    function.argtypes, function.restype = [ctypes.c_long, ctypes.c_float, ctypes.c_float], ctypes.c_float

    def measure() -> float:
        start = time.thread_time_ns()
        macs = function(PEAK_ROUNDS, 0.5, 1.0) * 0 + PEAK_ROUNDS * 12 * lanes
        return macs / (time.thread_time_ns() - start) * 1e9

    return measure


def measure(name: str, board: Board, peak: Callable[[], float]) -> tuple[list[Kernel], float, float]:
    """Return the kernels of a network that are convolutions, the median peak, and the share of time in fallbacks."""
    model = network(name)
    machine, report = lowered(model, board)
    times: dict[str, list[int]] = defaultdict(list)
    begun = 0

    def watch(_function: object, symbol: str, before: bool, _result: object, *_arguments: object) -> int:
        nonlocal begun
        now = time.thread_time_ns()
        if not before:
            times[str(symbol)].append(now - begun)
        begun = time.thread_time_ns()
        return 0

    machine.set_instrument(watch)
    feeds = [tvm.runtime.tensor(value) for value in golden_inputs(inputs_of(model), seed=0).values()]
    machine["main"](*feeds)
    times.clear()
    peaks, start, runs = [], time.perf_counter(), 0
    while runs < LEAST_RUNS or time.perf_counter() - start < LEAST_S:
        peaks.append(peak())
        machine["main"](*feeds)
        runs += 1
    medians = {symbol: statistics.median(taken) * 1e-9 for symbol, taken in times.items()}
    whole = {symbol: median * len(times[symbol]) / runs for symbol, median in medians.items()}
    fallback = sum(whole.get(symbol, 0.0) for symbol in report.fallbacks())
    kernels = [found for symbol in medians if (found := _kernel(symbol, report, medians[symbol])) is not None]
    return kernels, statistics.median(peaks), fallback / sum(whole.values())


def _kernel(symbol: str, report: LoweringReport, seconds: float) -> Kernel | None:
    match = LAYER.fullmatch(report.details.get(symbol, ""))
    if match is None:
        return None
    cin, out, height, width, rows, columns = map(int, match.groups()[:6])
    marks = dict(re.findall(r"(groups|batch) (\d+)", match[7]))
    channels = cin // int(marks.get("groups", 1))
    macs = int(marks.get("batch", 1)) * out * height * width * channels * rows * columns
    return Kernel(report.rules[symbol], match[0].rsplit(":", 1)[0], match[8], macs, channels, seconds)


def main() -> None:
    """Print the table, slowest kernels first, and what share of layers reaches the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--board", default="host")
    options = parser.parse_args()
    board = load_board(options.board).model_copy(update={"cores": 1, "threads": 1})
    # The first runtime call decides how many threads there are.
    tvm.get_global_func("runtime.config_threadpool")(-2, 1, ["0"])
    rows: dict[tuple[str, str], tuple[float, float, Kernel, str]] = {}
    fallbacks = []
    with tempfile.TemporaryDirectory() as scratch:
        peak = fma_peak(cpu_model(board).lanes, Path(scratch))
        for name in options.networks:
            kernels, fastest, fallback = measure(name, board, peak)
            fallbacks.append(f"{name} {100 * fallback:.1f} %")
            for kernel in kernels:
                if kernel.macs > LEAST_MACS and kernel.channels >= LEAST_CHANNELS:
                    share = kernel.macs / kernel.seconds / fastest
                    rows.setdefault((kernel.layer, kernel.rule), (share, fastest, kernel, name))
    print("| layer | kernel | tile | in | MMAC | share of peak |\n| --- | --- | --- | --- | --- | --- |")
    for share, _, kernel, name in sorted(rows.values(), key=lambda row: row[0]):
        cells = (kernel.layer, kernel.rule, kernel.tile, name, f"{kernel.macs / 1e6:.0f}", f"{100 * share:.0f} %")
        print(f"| {' | '.join(cells)} |")
    shares = [row[0] for row in rows.values()]
    peaks = [row[1] for row in rows.values()]
    print(f"\nPeak: {statistics.median(peaks) / 1e9:.0f} GMAC/s.", end=" ")
    print(f"At {100 * WANTED:.0f} % or more: {sum(share >= WANTED for share in shares)} of {len(shares)} layer shapes.")
    print(f"Share of the time in functions without a schedule of their own: {', '.join(fallbacks)}.")


if __name__ == "__main__":
    main()
