"""`proposed_settings`: what a model shows of how it wants to be compiled, as a commented edgec.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from edgec.api.opened import open_target
from edgec.application.settle import Settled, settle
from edgec.data.decoders.base import WITH_BOXES
from edgec.errors import EdgecError
from edgec.model.graph import is_quantized
from edgec.model.load import load
from edgec.model.metadata import picture_size
from edgec.model.shapes import fix_shapes
from edgec.preprocessing import Preprocessing
from edgec.profile import Profile
from edgec.targets.board import board_names, load_board

TREE = Path("/proc/device-tree/model")
"""Where Linux on a board says what board it is."""
USUAL_SIDE = 224
"""Height and width of a picture where neither graph nor metadata say them."""
METRICS = {**dict.fromkeys(WITH_BOXES, "map"), "scores": "top1", "text": "exact-match", "mask": "miou"}
"""What is usually measured, by what a decoder gives."""


def this_board() -> str:
    """Return the name of the board that this machine is, `host` where it is none that edgec knows."""
    said = TREE.read_text(errors="replace").strip("\x00\n ").lower() if TREE.is_file() else ""
    titles = {name: load_board(name).title.lower() for name in board_names()} if said else {}
    return next((name for name, title in titles.items() if said.startswith(title)), "host")


def proposed_settings(model: str | Path, target: str) -> str:
    """Return the text of an edgec.toml for `model`: what it shows, what had to be guessed, and what could be said too.

    Args:
        model: Path of an ONNX file.
        target: Board name, or path of a board file.

    Raises:
        EdgecError: The model cannot be read, or there is no such board.
    """
    _, _, profile = open_target(target)
    source = load(model)
    shapes, guessed = _shapes(source.model)
    try:
        settled = settle(fix_shapes(source.model, shapes), path=Path(model))
    except EdgecError as error:
        settled = Settled(None, Preprocessing(), f"not looked at: {error.problem}")
    lines = [
        f"# How {Path(model).name} is compiled: edgec compile {Path(model).name} --config edgec.toml",
        "# Written by `edgec init`. Lines that begin with # change nothing; docs/configuration.md has all settings.",
        "",
        f"target = {_text(target)}  # `edgec targets` lists the boards",
        *_precision(source.model, profile),
        *_shape_lines(shapes, guessed),
        *_measuring(settled, profile),
    ]
    return "\n".join(lines) + "\n"


def _shapes(model: ir.Model) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Return the shape of each input that leaves dimensions open, and which sizes are guesses."""
    shapes, guessed = {}, []
    size = picture_size(model.metadata_props) or (USUAL_SIDE, USUAL_SIDE)
    for value in model.graph.inputs:
        if value.name in model.graph.initializers or value.shape is None or value.shape.is_static():
            continue
        dims = [dim if isinstance(dim, int) and dim > 0 else 0 for dim in value.shape]
        usual = (1, 3, *size) if len(dims) == 4 and dims[3] not in (1, 3) else (1, *size, 3)
        filled = [dim or (usual[place] if len(dims) == 4 else 1) for place, dim in enumerate(dims)]
        if any(not dim for dim in dims[1:]):
            guessed.append(value.name or "")
        shapes[value.name or ""] = tuple(filled)
    return shapes, guessed


def _precision(model: ir.Model, profile: Profile) -> Iterator[str]:
    if is_quantized(model):
        yield "# The model has QuantizeLinear nodes: it runs on integers where the board has them."
        return
    others = [name for name in profile.precisions if name != "fp32"]
    if others:
        needs = " (int8 needs data, below)" if "int8" in others else ""
        yield f'# precision = "{others[0]}"  # or {", ".join(("fp32", *others[1:]))}{needs}'
    yield "# max_loss = 0.01  # edgec prunes and quantizes by itself while the metric below loses no more"


def _shape_lines(shapes: dict[str, tuple[int, ...]], guessed: list[str]) -> Iterator[str]:
    if not shapes:
        return
    yield ""
    yield "[shapes]  # the model leaves these open; code for a board is made for fixed ones"
    for name, shape in shapes.items():
        note = "  # a guess: give the size that you will use" if name in guessed else ""
        yield f"{_text(name)} = {list(shape)}{note}"


def _measuring(settled: Settled, profile: Profile) -> Iterator[str]:
    decoder = settled.application.open() if settled.application else None
    yield ""
    yield "[measuring]"
    yield '# data = "pictures"  # typical pictures; with labels if a metric is measured, see docs/evaluation.md'
    yield f'# metric = "{METRICS.get(decoder.kind, "output-error") if decoder else "output-error"}"'
    if settled.application:
        for line in settled.application.assumed:
            yield f"# {' '.join(line.split())}"
        yield f"# decoder = {_text(settled.application.decoder)}  # as recognised"
    else:
        yield f"# {' '.join(settled.hint.split()) or 'What the outputs mean was not recognised'}"
        yield '# decoder = "scores"'
    how, usual = settled.preprocess, Preprocessing()
    yield ""
    yield "[measuring.preprocess]  # compare with how the network was trained: a wrong one costs all accuracy"
    for name in ("resize", "colour", "scale", "mean", "std", "layout"):
        value = getattr(how, name)
        mark = "" if value != getattr(usual, name) else "# "
        yield f"{mark}{name} = {_text(value)}"
    if profile.built_on_board:
        yield "# The engine is built on the board: edgec deploy ARTEFACT ssh://USER@BOARD"


def _text(value: object) -> str:
    """Return `value` as TOML, which for what is written here is JSON."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
