"""`edgec bench`: latency of an artefact on its golden inputs, as a whole and by kernel; of several side by side.

The time on an ARM board that is not available is estimated by emulation.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgec.cli.console import Json, Quiet, Threads, print_json, progress, stdout
from edgec.cli.emulated_time import show_emulated_time
from edgec.progress import Progress

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact, Latency
    from edgec.targets.kernel_times import KernelTimes


def command(
    artefact: Annotated[
        Path, typer.Argument(metavar="ARTEFACT", help="Folder written by `edgec compile`, or a folder of such folders.")
    ],
    runs: Annotated[int, typer.Option(min=1, help="Number of runs that are measured.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Number of warm-up runs, which are not measured.")] = 3,
    threads: Threads = None,
    layers: Annotated[bool, typer.Option("--layers", help="Measure each kernel of the network, too.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the kernels of one run as a trace, for Perfetto; implies --layers."),
    ] = None,
    emulate_time: Annotated[
        bool,
        typer.Option(
            "--emulate-time",
            help="Estimate the time on the ARM board from emulated instructions.",
        ),
    ] = False,
    measured: Annotated[
        str | None,
        typer.Option(
            metavar="ARTEFACT=MS",
            help="Correct the estimate by another artefact's time on the board, one thread; implies --emulate-time.",
        ),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure the latency of ARTEFACT on this machine. Times of an emulator say nothing about the board.

    With --emulate-time nothing is measured: the time on the board is estimated from the instructions that are executed
    under the emulator, one thread.
    """
    from edgec import Artefact
    from edgec.artefact.files import MANIFEST
    from edgec.errors import BadOption

    if emulate_time or measured is not None:
        if trace is not None or threads is not None:
            remedy = "Omit --trace and --threads."
            raise BadOption("--emulate-time estimates the time of one thread", remedy=remedy)
        show_emulated_time(artefact, measured, layers=layers, silent=quiet or json, json=json)
        return
    several = [] if (artefact / MANIFEST).exists() else sorted(path.parent for path in artefact.glob(f"*/{MANIFEST}"))
    if several and (layers or trace is not None):
        raise BadOption("--layers and --trace are for one artefact", remedy=f"Give one of them, e.g. {several[0]}.")
    opened = [Artefact.open(folder) for folder in several or [artefact]]
    kernels = None
    with progress(silent=quiet or json) as listener:
        latencies = []
        for one in opened:
            listener(Progress(f"measure {one.folder.name}" if several else "measure"))
            latencies.append(one.bench(threads=threads, warmup=warmup, runs=runs, keep=True))
        if layers or trace is not None:
            listener(Progress("measure the kernels"))
            kernels = opened[0].profile(threads=threads, warmup=warmup, runs=runs, trace=trace, keep=True)
    if several:
        _show_several(opened, latencies, json=json)
    else:
        _show_one(latencies[0], kernels, json=json)


def _show_one(latency: Latency, kernels: KernelTimes | None, *, json: bool) -> None:
    from edgec.targets.base import is_emulated

    if json:
        print_json(asdict(latency) | ({"kernels": asdict(kernels)} if kernels else {}))
        return
    stdout.print(_line(latency), highlight=False)
    if is_emulated(latency.where):
        stdout.print("These are times of the emulator: they say nothing about the board.", highlight=False)
    if kernels is not None:
        _show_kernels(kernels)


def _line(latency: Latency) -> str:
    return (
        f"median {latency.median:.2f} ms, p90 {latency.p90:.2f} ms, min {latency.minimum:.2f} ms"
        f" ({latency.runs} runs, {latency.threads} threads, {latency.where})"
    )


def _show_several(artefacts: list[Artefact], latencies: list[Latency], *, json: bool) -> None:
    if json:
        print_json({str(each.folder): asdict(latency) for each, latency in zip(artefacts, latencies, strict=True)})
        return
    table = Table("artefact", "precision", "MiB", "median ms", "p90 ms", "min ms", "where")
    for each, latency in sorted(zip(artefacts, latencies, strict=True), key=lambda pair: pair[1].median):
        times = (f"{ms:.2f}" for ms in (latency.median, latency.p90, latency.minimum))
        where = f"{latency.where}, {latency.threads} threads"
        table.add_row(each.folder.name, each.manifest.options.precision, f"{each.size / 2**20:.2f}", *times, where)
    stdout.print(table)


def _show_kernels(found: KernelTimes) -> None:
    """Print the kernels, slowest first."""
    whole = sum(kernel.ms for kernel in found.kernels) or 1.0
    table = Table("ms", "share", "MMAC", "KiB", "of peak", "ONNX nodes")
    for kernel in sorted(found.kernels, key=lambda kernel: -kernel.ms):
        figures = (f"{kernel.ms:.4f}", f"{kernel.ms / whole:.1%}", f"{kernel.macs / 1e6:.3f}")
        peak = f"{kernel.share_of_peak:.0%}" if kernel.macs else ""
        table.add_row(*figures, f"{kernel.bytes / 1024:.1f}", peak, kernel.name)
    stdout.print(table)
    stdout.print(
        f"kernels {whole:.3f} ms + executor {found.executor_ms:.3f} ms = {found.sum_ms:.3f} ms;"
        f" the whole without clocks inside: {found.whole_ms:.3f} ms ({found.sum_ms / found.whole_ms - 1:+.1%});"
        f" a clock takes {found.clock_ns:.0f} ns; peak {found.peak_macs_per_s / 1e9:.1f} billion fp32 multiply-adds"
        " a second and thread, measured on registers",
        highlight=False,
        soft_wrap=True,
    )
