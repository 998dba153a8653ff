"""`edgec bench`: latency of an artefact on its golden inputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgec.cli.console import ArtefactFolder, Json, Quiet, Threads, print_json, progress, stdout


def command(
    artefact: ArtefactFolder,
    runs: Annotated[int, typer.Option(min=1, help="Inferences that count.")] = 20,
    warmup: Annotated[int, typer.Option(min=0, help="Inferences before, that do not.")] = 3,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure the latency of ARTEFACT here. Under emulation times say nothing about the board."""
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.evidence import keep

    with progress(silent=quiet or json) as listener:
        listener("measure")
        opened = Artefact.open(artefact)
        latency = opened.bench(threads=threads, warmup=warmup, runs=runs)
        keep(opened.folder, "latency", latency)
    if json:
        print_json(asdict(latency))
        return
    stdout.print(
        f"median {latency.median:.2f} ms, p90 {latency.p90:.2f} ms, min {latency.minimum:.2f} ms"
        f" ({latency.runs} runs, {latency.threads} threads, {latency.where})",
        highlight=False,
    )
