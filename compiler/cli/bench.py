"""`edgec bench`: latency of an artefact on its golden inputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgec.cli.console import ArtefactFolder, Json, Quiet, Threads, print_json, progress, stdout
from edgec.progress import Progress


def command(
    artefact: ArtefactFolder,
    runs: Annotated[int, typer.Option(min=1, help="Number of runs that are measured.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Number of warm-up runs, which are not measured.")] = 3,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure the latency of ARTEFACT on this machine. Times under emulation say nothing about the board."""
    from edgec import Artefact

    with progress(silent=quiet or json) as listener:
        listener(Progress("measure"))
        opened = Artefact.open(artefact)
        latency = opened.bench(threads=threads, warmup=warmup, runs=runs, keep=True)
    if json:
        print_json(asdict(latency))
        return
    stdout.print(
        f"median {latency.median:.2f} ms, p90 {latency.p90:.2f} ms, min {latency.minimum:.2f} ms"
        f" ({latency.runs} runs, {latency.threads} threads, {latency.where})",
        highlight=False,
    )
    if latency.where.startswith("qemu"):
        stdout.print("These are times of the emulator: they say nothing about the board.", highlight=False)
