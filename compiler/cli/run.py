"""`edgec run`: one inference of an artefact on given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgec.cli.console import ArtefactFolder, Json, Threads, pairs, print_json, stdout


def command(
    artefact: ArtefactFolder,
    input: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]FILE", help=".npy file or picture; the name may be left out for a single input."),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for OUTPUT.npy files.")] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Run ARTEFACT once and show, or write, its outputs."""
    import numpy as np

    from edgec import Artefact
    from edgec.data.preprocess import read_inputs
    from edgec.whole_file import whole_file

    opened = Artefact.open(artefact)
    specs = {port.name: port.spec for port in opened.manifest.inputs}
    if len(specs) == 1 and len(input) == 1 and not input[0].startswith(f"{next(iter(specs))}="):
        input = [f"{next(iter(specs))}={input[0]}"]
    files = {name: Path(value) for name, value in pairs(input, "--input").items()}
    feeds = read_inputs(files, tuple(specs.values()), opened.manifest.options.preprocess)
    outputs = opened.runner(threads).run(feeds)
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
