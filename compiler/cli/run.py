"""`edgec run`: runs an artefact on pictures and shows what it finds in them, or runs it on tensors."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli.arguments import pairs
from edgec.cli.console import ArtefactFolder, Json, Threads, print_json, stderr, stdout
from edgec.errors import BadOption

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact

TENSORS = (".npy",)


def command(
    artefact: ArtefactFolder,
    input: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE|FOLDER|camera:N",
            help="Picture, folder of pictures, video, camera:0; or .npy file, for each input NAME.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for drawn pictures, or for OUTPUT.npy files.")
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How the outputs are read; default: the artefact's decoder.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum score of objects that are shown; default: 0.25.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this number of pictures.")] = None,
    times: Annotated[
        bool,
        typer.Option(
            "--times", help="Report at the end how long each stage took: median, p90, p99, pictures per second."
        ),
    ] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="Return the raw outputs, also for pictures.")] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show what ARTEFACT finds in pictures, or run it on tensors and show, or write, its outputs."""
    from edgec.application.sources import is_source
    from edgec.artefact.artefact import Artefact

    opened = Artefact.open(artefact)
    source = _source(opened, input)
    readable = decoder is not None or opened.manifest.application is not None
    if source is not None and is_source(source) and tensors:
        raise BadOption(f"--tensors: {source} is not a single file", remedy="Give one picture, or a .npy file.")
    if source is not None and not tensors and (readable or is_source(source)):
        _predict(opened, source, output, decoder, min_score, limit, threads, times=times, json=json)
        return
    if source is not None and not tensors:
        text = "the artefact has no decoder, so these are the network's raw outputs; --decoder reads them"
        stderr.print(f"{artefact}: {text}", highlight=False, markup=False, soft_wrap=True)
    _run(opened, input, output, threads, json=json)


def _source(artefact: Artefact, given: list[str]) -> str | None:
    """Return the source of pictures; None if tensors are given."""
    inputs = artefact.manifest.inputs
    if len(given) != 1 or len(inputs) != 1:
        return None
    value = given[0].removeprefix(f"{inputs[0].name}=")
    return None if Path(value).suffix in TENSORS else value


def _predict(
    artefact: Artefact,
    given: str,
    output: Path | None,
    decoder: str | None,
    min_score: float | None,
    limit: int | None,
    threads: int | None,
    *,
    times: bool,
    json: bool,
) -> None:
    """Print what is found in each picture, one line each; draw it if an output folder is given."""
    from itertools import islice

    from edgec.application.drawn import Drawn
    from edgec.application.predictor import decoder_for_people
    from edgec.application.sources import open_source
    from edgec.application.stages import Stages
    from edgec.artefact.loaded import Loaded

    decoder_for_people(
        artefact.manifest.application, decoder, min_score
    )  # errors in it are reported before anything runs
    stages = Stages()
    with open_source(given) as source, Loaded(artefact.runner(threads), artefact.manifest) as loaded:
        predictor = loaded.predictor(min_score=min_score, decoder=decoder)
        drawn = None if output is None else Drawn(output, moving=source.moving, rate=source.rate)
        try:
            for frame in islice(source.frames, limit):
                found, seconds = predictor.timed(frame.picture)
                stages.add(seconds | {"read": seconds["read"] + frame.seconds})
                row: dict[str, Any] = {"picture": frame.name, **found.to_dict()}
                if drawn is not None:
                    row["drawn"] = str(drawn.write(frame.name, found.draw(frame.picture)))
                if json:
                    print(json_module.dumps(row, ensure_ascii=False), flush=True)
                else:
                    stdout.print(f"{frame.name}: {found}", highlight=False, markup=False, soft_wrap=True)
        finally:
            if drawn is not None:
                drawn.close()
    if times:
        print(json_module.dumps({"times": stages.summary()}) if json else str(stages))


def _run(artefact: Artefact, given: list[str], output: Path | None, threads: int | None, *, json: bool) -> None:
    """Run once on tensors, or on pictures as tensors, and show, or write, the outputs."""
    import numpy as np

    from edgec.data.preprocess import read_inputs
    from edgec.whole_file import whole_file

    specs = {port.name: port.spec for port in artefact.manifest.inputs}
    if len(specs) == 1 and len(given) == 1 and not given[0].startswith(f"{next(iter(specs))}="):
        given = [f"{next(iter(specs))}={given[0]}"]
    files = {name: Path(value) for name, value in pairs(given, "--input").items()}
    feeds = read_inputs(files, tuple(specs.values()), artefact.manifest.options.preprocess)
    outputs = artefact.runner(threads).run(feeds)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (name, array) in enumerate(outputs.items()):
        row = {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        if array.size:
            row |= {"min": float(array.min()), "max": float(array.max()), "mean": float(array.mean())}
        if output is not None:
            path = output / f"{_file_name(name, index)}.npy"
            with whole_file(path) as staged:
                np.save(staged, array)
            row["file"] = str(path)
        rows.append(row)
    if json:
        print_json(rows)
        return
    for row in rows:
        text = "  ".join(f"{key} {value}" for key, value in row.items() if key != "name")
        stdout.print(f"{row['name']}: {text}", highlight=False, soft_wrap=True)


def _file_name(name: str, index: int) -> str:
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".")
    return safe or f"output_{index}"
