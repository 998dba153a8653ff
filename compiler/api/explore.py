"""`explore`: accuracy against time and size, as the Pareto front of measured points."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from edgec.api.compile import golden_inputs, settled_options
from edgec.api.contradictions import check_options
from edgec.api.opened import open_target
from edgec.compress.exploration import exploration
from edgec.compress.front import Front
from edgec.compress.settings import competing, implied_options
from edgec.errors import BadOption
from edgec.model.graph import is_quantized
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import CompileFields, compile_options
from edgec.passes import pipeline
from edgec.plain_file import hash_file
from edgec.progress import Listener
from edgec.record import Record
from edgec.report.front_page import write_front

EVERY_TIME = 1e9
"""Milliseconds that any network takes less than: the exploration sets its own goals."""

File = str | os.PathLike[str]


def explore(
    model: File,
    *,
    target: str,
    output: File = "front",
    progress: Listener | None = None,
    **options: Unpack[CompileFields],
) -> Front:
    """Measure networks from the untouched one to far too small ones, in each precision of the board.

    Each point is what `compile` makes of `max_latency` and `precision`; their losses are measured on held-out samples.
    An interrupted call continues where it stopped.

    Args:
        model: Path of an ONNX file.
        target: Board name (`edgec targets`), or path of a board file.
        output: Folder for front.json, front.md, front.html, front.svg, and the journals.
        progress: Called with each stage when it begins.
        options: Those of `compile` that all points share: data, metric, decoder, shapes, prune ...; with `precision`,
            there are points in this one only.

    Raises:
        EdgecError: The user can correct the problem; the message says how. Points that were measured are kept.
    """
    given = compile_options({"target": target, **options})
    if given.has_promise:
        raise BadOption("a loss or a latency is no goal of an exploration", remedy="Leave it out, or use compile.")
    if given.measuring.data is not None and not isinstance(given.measuring.data, str):
        problem = "an exploration needs data that its points can be compiled with again"
        raise BadOption(problem, remedy="Give data as a path or module:callable.")
    board, _, profile = open_target(given.target)
    settings = implied_options(given.model_copy(update={"max_latency": EVERY_TIME}), profile)
    check_options(settings, board, profile)
    record, folder, path = Record(progress or (lambda stage: None)), Path(output), Path(model)
    if folder.exists() and not folder.is_dir():
        raise BadOption(f"output {folder} is not a folder", remedy="Choose another place with -o.")
    with record.stage("load"):
        source = load(path)
        original = fix_shapes(source.model, settings.shapes)
        if is_quantized(original):
            raise BadOption(f"{path} is quantized already", remedy="Give the model in float.")
        original, settings, _ = settled_options(original, settings, path, record)
    feeds = golden_inputs(original, None, settings)[0]
    front = exploration(
        pipeline.run(original, profile=profile, options=settings, record=record, feeds=feeds),
        settings,
        profile,
        record,
        precisions=competing(given.model_copy(update={"max_latency": EVERY_TIME}), profile),
        path=path,
        sha256=hash_file(path),
        folder=folder,
        shared=given.model_dump(mode="json", exclude_unset=True),
    )
    write_front(front, folder)
    return front


def point_of(folder: File, number: int) -> tuple[Path, dict[str, Any]]:
    """Return the model, and the options of `compile`, for a point of the front in `folder`.

    Raises:
        BadOption: There is no such front or point, or the model has changed.
    """
    front = Front.load(folder)
    path = Path(front.model)
    if not path.is_file() or hash_file(path) != front.sha256:
        raise BadOption(
            f"{folder}: its model {path} is missing or has changed",
            remedy="Run it where `edgec explore` ran, or explore the model again.",
        )
    return path, front.settings(number)
