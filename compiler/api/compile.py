"""`compile`: the whole data flow, from an ONNX model to an artefact folder, on one screen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from typing_extensions import Unpack

from edgec.api.opened import open_target, path_of
from edgec.artefact.artefact import Artefact
from edgec.artefact.evidence import keep
from edgec.artefact.manifest import SCHEMA_VERSION, Manifest, Port, Source, write_manifest
from edgec.artefact.signature import check_key, sign
from edgec.artefact.staging import check_destination, staged_folder
from edgec.compress.compress import compress
from edgec.compress.rounds import Compressed
from edgec.compress.settings import check_quantization, implied_options
from edgec.data.preprocess import read_inputs
from edgec.errors import BadOption, CannotRunHere
from edgec.model.load import Source as ModelSource
from edgec.model.load import load
from edgec.model.shapes import fix_shapes, open_shapes
from edgec.model.signature import TensorSpec, check_feeds, inputs_of, outputs_of
from edgec.model.traits import INTEGER_LAYERS, QUANTIZERS
from edgec.model.true_sizes import true_sizes
from edgec.options import CompileFields, CompileOptions, compile_options
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.progress import Listener
from edgec.record import Record
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from edgec.report.collect import compressed_findings, plain_findings
from edgec.report.findings import Answer
from edgec.report.pictures import answers
from edgec.targets.base import LoweringContext
from edgec.targets.board import Board

Arrays = Mapping[str, np.ndarray[Any, Any]]
Given = np.ndarray[Any, Any] | str | os.PathLike[str]

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 1e-1}
"""Accepted error of an output relative to its range, by precision."""


def compile(
    model: ModelSource,
    *,
    target: str,
    output: str | os.PathLike[str] | None = None,
    inputs: Mapping[str, Given] | None = None,
    progress: Listener | None = None,
    **options: Unpack[CompileFields],
) -> Artefact:
    """Compile `model` for a board and write the artefact.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        target: Board name (`edgec targets`), or path of a board file.
        output: Folder to write; default `<model name>.<target>` in the working directory. An older artefact there is
            replaced.
        inputs: Golden inputs by name, arrays or files (.npy, pictures); default: printed pages for pictures, else
            random numbers, from `seed`.
        progress: Called with each stage as it begins; the log named `edgec` has them too.
        options: Fields of `CompileOptions`: shapes, precision, threads ...; those of `Measuring` (data, metric ...) may
            be given by themselves or as `measuring`.

    Returns:
        The artefact, open.

    Raises:
        EdgecError: Something the user can mend: what and how is in the message. Nothing is left half-written.
    """
    settings = compile_options({"target": target, **options})
    board, back_end, profile = open_target(settings.target)
    settings = implied_options(settings, profile)
    _check_options(settings, board, profile)
    record = Record(progress or (lambda stage: None))

    with record.stage("load"):
        source = load(model)
        original = fix_shapes(source.model, settings.shapes)
        _check_integers(original, settings)
        folder = Path(output) if output is not None else Path(f"{source.name}.{board.name}")
        check_destination(folder)
    with record.stage("reference"):
        feeds = _feeds(original, inputs, settings)
        expected = Reference(open_shapes(source.model)).run(feeds)
    canonical = pipeline.run(original, profile=profile, options=settings, record=record, feeds=feeds)
    compressed = None
    if settings.prune is not None or (settings.precision == "int8" and settings.measuring.data is not None):
        journal = _journal(folder, settings, source.sha256)
        with record.stage("compress"):
            compressed = compress(canonical, settings, profile, record, path=path_of(model), journal=journal)
        canonical = compressed.model
        settings = settings.model_copy(update={"precision": compressed.precision})
        with record.stage("reference of the compressed network"):
            expected = Reference(canonical).run(feeds)

    with staged_folder(folder) as staging:
        ports = _write_golden(staging, canonical, feeds, expected, settings.preprocess.layout)
        context = LoweringContext(board, settings, staging, record, feeds, expected)
        lowered = back_end.lower(canonical, context)
        findings = (
            plain_findings(canonical, settings.precision, profile)
            if compressed is None
            else compressed_findings(compressed, profile, settings.preprocess)
        )
        findings.save(staging)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            edgec=version("edgec"),
            source=Source(name=source.name, sha256=source.sha256),
            options=settings,
            board=board,
            threads=settings.threads or board.threads,
            tolerance=max(TOLERANCE[settings.precision], lowered.least_tolerance),
            inputs=ports[0],
            outputs=ports[1],
            counts=true_sizes(canonical).counts,
            passes=tuple(record.passes),
            refusals=tuple(record.refusals),
            compression=record.compression,
            runtime=dict(lowered.runtime),
            later=lowered.later,
        )
        manifest = write_manifest(manifest, staging)
        if settings.sign is not None:
            sign(staging, settings.sign)
    artefact = Artefact(folder, manifest)
    if compressed is not None:
        journal.unlink(missing_ok=True)
        if findings.pictures:
            with record.stage("sample pictures"):
                _keep_answers(artefact, compressed)
    return artefact


@dataclass(frozen=True)
class Shown:
    """What the artefact itself said of the sample pictures in its findings, and where it ran."""

    where: str
    answers: list[dict[str, Any]]


def _keep_answers(artefact: Artefact, compressed: Compressed) -> None:
    try:
        opened = artefact.runner()
    except CannotRunHere:
        return  # the report then shows what the compressed network says in ONNX Runtime
    with opened as runner:
        said: list[Answer] = answers(runner.run, compressed)
    keep(artefact.folder, "pictures", Shown(runner.description, [each.model_dump() for each in said]))


def _journal(folder: Path, settings: CompileOptions, model: str) -> Path:
    """Return where interrupted sensitivities wait: a place of these settings and this model alone."""
    digest = hashlib.sha256((settings.model_dump_json() + model).encode()).hexdigest()[:8]
    place = Path(os.path.realpath(folder))
    return place.with_name(f"{place.name}.{digest}.sensitivity.jsonl")


def _check_options(settings: CompileOptions, board: Board, profile: Profile) -> None:
    precision = settings.precision
    if precision not in profile.precisions:
        reason = profile.refused.get(precision, "its board record does not offer it")
        offered = ", ".join(profile.precisions)
        raise BadOption(f"precision {precision} on {board.name}: {reason}", remedy=f"It has: {offered}.")
    check_quantization(settings, profile)
    if settings.sign is not None:
        check_key(settings.sign)
    if settings.batch is not None and not profile.dynamic_batch:
        raise BadOption(f"a batch that varies on {board.name}: it is built for one size", remedy="Give one size.")
    if settings.tuned is not None and not profile.tunable:
        remedy = "Leave --tuned out: TensorRT measures its own choices when it builds on the board."
        raise BadOption(f"--tuned {settings.tuned} on {board.name}: only CPU boards are tuned", remedy=remedy)
    if settings.tuned is not None and not settings.tuned.is_file():
        raise BadOption(f"--tuned {settings.tuned}: no such file", remedy="Give a database of `edgec tune`.")


def _check_integers(model: ir.Model, settings: CompileOptions) -> None:
    quantized = any(node.op_type in QUANTIZERS | INTEGER_LAYERS for node in model.graph.all_nodes())
    if settings.precision == "int8" and settings.measuring.data is None and not quantized:
        problem = "precision int8: the model is in float, and there are no pictures to quantize it by"
        raise BadOption(problem, remedy="Give --data, or a model with QuantizeLinear nodes.")


def _feeds(
    model: ir.Model, given: Mapping[str, Given] | None, settings: CompileOptions
) -> dict[str, np.ndarray[Any, Any]]:
    specs = inputs_of(model)
    if given is None:
        return golden_inputs(specs, settings.seed)
    files = {name: Path(value) for name, value in given.items() if isinstance(value, (str, os.PathLike))}
    arrays = {name: np.asarray(value) for name, value in given.items() if name not in files}
    if files:
        read = tuple(spec for spec in specs if spec.name not in arrays)
        arrays |= read_inputs(files, read, settings.preprocess)
    check_feeds(arrays, specs)
    return {spec.name: arrays[spec.name] for spec in specs}


def _write_golden(
    folder: Path, model: ir.Model, inputs: Arrays, outputs: Arrays, picture_layout: str
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    sizes = true_sizes(model)

    def write(kind: str, specs: tuple[TensorSpec, ...], arrays: Arrays, layout_of_4: str) -> tuple[Port, ...]:
        ports = []
        (folder / "golden" / kind).mkdir(parents=True)
        for index, spec in enumerate(specs):
            path = f"golden/{kind}/{index}.npy"
            np.save(folder / path, np.array(arrays[spec.name], order="C"))
            layout = layout_of_4 if len(spec.shape) == 4 else ""
            axes = sizes.axes.get(spec.name, {}) if kind == "outputs" else {}
            at = [sizes.counts.index(axes[axis]) if axis in axes else -1 for axis in range(len(spec.shape))]
            ports.append(Port(**spec.model_dump(), layout=layout, golden=path, sizes=at if axes else ()))
        return tuple(ports)

    return (
        write("inputs", inputs_of(model), inputs, picture_layout),
        write("outputs", tuple(spec for spec in outputs_of(model) if spec.name not in sizes.counts), outputs, "NCHW"),
    )
