"""`edgec serve`: an artefact behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from edgec.cli.console import LOOPBACK, ArtefactFolder, Threads, stderr
from edgec.errors import BadOption, MissingDependency


def command(
    artefact: ArtefactFolder,
    input: Annotated[
        str | None,
        typer.Option(
            metavar="camera:N|VIDEO|FOLDER", help="Camera, video or folder that the page can show live, frame by frame."
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address on which the server listens; 0.0.0.0 stands for all: everybody who can reach this machine."
        ),
    ] = LOOPBACK,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on which the server listens; 0 stands for any free one.")
    ] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name by which browsers may call this machine, besides --host; may be repeated."),
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How the outputs are read; default: the artefact's decoder.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum score of objects that are shown; default: 0.25.")
    ] = None,
    max_size: Annotated[int, typer.Option(min=1, metavar="MIB", help="Maximum size of a picture, in MiB.")] = 32,
    threads: Threads = None,
) -> None:
    """Show what ARTEFACT sees in a browser, and answer POST /predict with JSON; on this machine only, by default."""
    try:
        import uvicorn

        from edgec.serving.app import LOOPBACK_NAMES, make_app
    except ImportError as error:
        raise MissingDependency(
            "Starlette and uvicorn are needed to serve", remedy="pip install 'edgec[serve]'"
        ) from error
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.loaded import Loaded

    opened = Artefact.open(artefact)
    hosts = (*LOOPBACK_NAMES, host, *(name or ()))
    if host in ("0.0.0.0", "::"):
        hosts = ("*",) if not name else hosts
    with Loaded(opened.runner(threads), opened.manifest) as loaded:
        predictor = loaded.predictor(min_score=min_score, decoder=decoder)
        title = f"{opened.manifest.source.name} for {opened.manifest.board.name}"
        app = make_app(predictor, title=title, source=input, most_bytes=max_size << 20, hosts=hosts)
        stderr.print(f"{title}: http://{host}:{port} (Ctrl-C ends it)", highlight=False, markup=False, soft_wrap=True)
        try:
            uvicorn.run(app, host=host, port=port, log_level="warning", limit_concurrency=64)
        except SystemExit as error:  # uvicorn says why in its log
            raise BadOption(f"cannot listen at {host}:{port}", remedy="Give a free one by --port.") from error
