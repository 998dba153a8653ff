"""`compile`: the whole data flow from an ONNX model to an artefact folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from typing_extensions import Unpack

from edgec import __version__
from edgec.api.contradictions import check_integers, check_options
from edgec.api.faster_precision import note_faster_precision
from edgec.api.opened import open_target, path_of
from edgec.application.record import Application
from edgec.application.settle import settle
from edgec.application.suppression import OPSET, with_suppression
from edgec.artefact.artefact import Artefact
from edgec.artefact.evidence import keep
from edgec.artefact.golden import Golden, write_golden
from edgec.artefact.manifest import SCHEMA_VERSION, Manifest, Source, write_manifest
from edgec.artefact.readme import write_readme
from edgec.artefact.signature import sign
from edgec.artefact.staging import check_destination, staged_folder
from edgec.artefact.verification import Verification
from edgec.compress.compress import compress
from edgec.compress.compressed import Compressed
from edgec.compress.settings import competing, implied_options
from edgec.data.pictures import picture_input
from edgec.data.preprocess import read_inputs
from edgec.data.samples import spread
from edgec.data.source import open_samples
from edgec.errors import CannotRunHere, CannotRunInputs
from edgec.model.graph import is_quantized, opset
from edgec.model.load import LoadedModel, load
from edgec.model.load import Source as ModelSource
from edgec.model.shapes import fix_shapes, open_shapes
from edgec.model.signature import check_feeds, inputs_of
from edgec.model.true_sizes import true_sizes
from edgec.options import CompileFields, CompileOptions, compile_options
from edgec.passes import pipeline
from edgec.passes.raise_opset import RaiseOpset
from edgec.profile import Arithmetic, Profile
from edgec.progress import Listener
from edgec.record import Record
from edgec.reference.expectation import expect
from edgec.reference.golden import golden_samples
from edgec.reference.layerwise import Layers
from edgec.reference.session import Reference
from edgec.reference.sketch import chosen
from edgec.report.collect import compressed_findings, plain_findings
from edgec.report.findings import Answer
from edgec.report.pictures import answers
from edgec.targets.base import Lowered, LoweringContext
from edgec.targets.board import Board, is_this_machine

Arrays = Mapping[str, np.ndarray[Any, Any]]
Given = np.ndarray[Any, Any] | str | os.PathLike[str]


def compile(
    model: ModelSource,
    *,
    target: str,
    output: str | os.PathLike[str] | None = None,
    inputs: Mapping[str, Given] | None = None,
    verify: bool | None = None,
    keep_failed: bool = False,
    journal: str | os.PathLike[str] | None = None,
    progress: Listener | None = None,
    **options: Unpack[CompileFields],
) -> Artefact:
    """Compile `model` for a board, run the artefact if this machine can, and write it if its outputs are right.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        target: Board name (`edgec targets`), or path of a board file.
        output: Folder to write; default `<model name>.<target>` in the working directory. An older artefact there is
            replaced.
        inputs: Golden inputs by name, arrays or files (.npy, pictures); default: printed pages for pictures, else
            random numbers, from `seed`, and some of the data.
        verify: Run the artefact, emulated if necessary, and compare its outputs; default: only if this machine has the
            board's architecture.
        keep_failed: Write and return the artefact even if the verification fails; see its `verification`.
        journal: File of sensitivities, which stays; default: one beside the output, until the artefact is there.
        progress: Called with each stage when it begins; the log named `edgec` contains the stages too.
        options: Fields of `CompileOptions`: shapes, precision, threads ...; those of `Measuring` (data, metric ...) may
            be given by themselves or as `measuring`.

    Returns:
        The artefact, open.

    Raises:
        EdgecError: The user can correct the problem; the message says how. Nothing is left half-written.
        VerificationFailed: The outputs of the artefact are wrong. Nothing is written.
    """
    settings = compile_options({"target": target, **options})
    board, back_end, profile = open_target(settings.target)
    given, settings = settings, implied_options(settings, profile)
    check_options(settings, board, profile)
    record = Record(progress or (lambda stage: None))

    with record.stage("load"):
        source = load(model)
        original = fix_shapes(source.model, settings.shapes)
        check_integers(original, settings)
        original, settings, application = settled_options(original, settings, path_of(model), record)
        folder = Path(output) if output is not None else Path(f"{source.name}.{board.name}")
        check_destination(folder)
    settings = _in_precision_of(original, settings, profile)
    with record.stage("reference"):
        samples = golden_inputs(original, inputs, settings)
        samples, expected = _that_run(original if settings.nms else open_shapes(source.model), samples, record)
    canonical = pipeline.run(original, profile=profile, options=settings, record=record, feeds=samples[0])
    note_faster_precision(canonical, given, profile, record)
    measured = _journal(folder, settings, source.sha256) if journal is None else Path(journal)
    compressed = None
    if _compresses(settings, original):
        with record.stage("compress"):
            compressed = compress(
                canonical,
                settings,
                profile,
                record,
                formats=competing(given, profile),
                path=path_of(model),
                journal=measured,
            )
        canonical = compressed.model
        settings = settings.model_copy(update={"precision": compressed.precision})
    # Changes by compression and by the user's passes are intended, so they are part of the reference.
    wanted = original if compressed is None and not settings.extra_passes else canonical
    if wanted is canonical:
        with record.stage("reference of the changed network"):
            expected = _outputs(canonical, samples)

    with staged_folder(folder) as staging:
        context = LoweringContext(board, settings, staging, record, samples)
        lowered = back_end.lower(canonical, context)
        with record.stage("reference in the board's precision"):
            arithmetic = profile.arithmetic[settings.precision]
            expectation = expect(
                canonical, samples, expected, arithmetic, _inner(canonical, lowered), settings.seed, original=wanted
            )
        findings = (
            plain_findings(canonical, settings.precision, profile)
            if compressed is None
            else compressed_findings(compressed, profile, settings.preprocess)
        )
        findings.save(staging)
        tolerance = max(arithmetic.tolerance, lowered.least_tolerance)
        golden = write_golden(staging, canonical, expectation, tolerance, settings.preprocess.layout)
        manifest = _write_manifest(staging, source, board, settings, record, lowered, arithmetic, golden, application)
        verification, unverified = _verified(
            Artefact(staging, manifest), verify, record, Layers(canonical, arithmetic, settings.seed)
        )
        if verification is not None and not keep_failed:
            verification.check()
    artefact = Artefact(folder, manifest, verification, unverified)
    if compressed is not None and journal is None:
        measured.unlink(missing_ok=True)
    if compressed is not None and findings.pictures:
        with record.stage("sample pictures"):
            _keep_answers(artefact, compressed)
    return artefact


def _write_manifest(
    staging: Path,
    source: LoadedModel,
    board: Board,
    settings: CompileOptions,
    record: Record,
    lowered: Lowered,
    arithmetic: Arithmetic,
    golden: Golden,
    application: Application | None,
) -> Manifest:
    """Write the manifest of the artefact in `staging`, sign it if requested, and return it."""
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        edgec=__version__,
        source=Source(name=source.name, sha256=source.sha256),
        options=settings,
        board=board,
        threads=settings.threads or board.threads,
        tolerance=max(arithmetic.tolerance, lowered.least_tolerance),
        exact=arithmetic.exact,
        **golden._asdict(),
        application=application,
        passes=tuple(record.passes),
        refusals=tuple(record.refusals),
        compression=record.compression,
        runtime=dict(lowered.runtime),
        commands=dict(lowered.commands),
        later=lowered.later,
    )
    write_readme(manifest, staging)
    manifest = write_manifest(manifest, staging)
    if settings.sign is not None:
        sign(staging, settings.sign)
    return manifest


def _verified(
    artefact: Artefact, wanted: bool | None, record: Record, layers: Layers
) -> tuple[Verification | None, str]:
    """Run the artefact, if requested or if this machine has the board's architecture, and store the result as evidence.

    Returns:
        The result, or None and the reason why the artefact could not be run.
    """
    if not (is_this_machine(artefact.manifest.board) if wanted is None else wanted):
        return None, ""
    with record.stage("verify"):
        try:
            verification = artefact.verify(keep=True, layers=layers)
        except CannotRunHere as error:
            if wanted:
                raise
            return None, error.problem
    return verification, ""


@dataclass(frozen=True)
class Shown:
    """Results of the artefact itself on the sample pictures of its findings, and where it ran."""

    where: str
    answers: list[dict[str, Any]]


def _keep_answers(artefact: Artefact, compressed: Compressed) -> None:
    try:
        opened = artefact.runner()
    except CannotRunHere:
        return  # the report then shows the results of the compressed network in ONNX Runtime
    with opened as runner:
        said: list[Answer] = answers(runner.run, compressed)
    keep(artefact.folder, "pictures", Shown(runner.description, [each.model_dump() for each in said]))


def _compresses(settings: CompileOptions, model: ir.Model) -> bool:
    to_integers = settings.precision == "int8" and settings.measuring.data is not None and not is_quantized(model)
    return settings.prune is not None or to_integers


def _journal(folder: Path, settings: CompileOptions, model: str) -> Path:
    """Return the journal of interrupted sensitivities for exactly these settings and this model."""
    digest = hashlib.sha256((settings.model_dump_json() + model).encode()).hexdigest()[:8]
    place = Path(os.path.realpath(folder))
    return place.with_name(f"{place.name}.{digest}.sensitivity.jsonl")


def settled_options(
    fixed: ir.Model, settings: CompileOptions, path: Path | None, record: Record
) -> tuple[ir.Model, CompileOptions, Application | None]:
    """Return the network, settings with the preprocessing of its input, and how its outputs are read."""
    decoder, how = settings.measuring.decoder, settings.preprocess
    data = settings.measuring.data
    settled = settle(fixed, decoder=decoder, classes=settings.classes, preprocess=how, path=path, data=data)
    if settled.hint:
        record.refuse("decoder", "outputs", settled.hint)
    settings = settings.preprocessed(settled.preprocess)
    if settings.nms:
        return _suppressing(fixed, settings, settled.application)
    return fixed, settings, settled.application


def _suppressing(
    model: ir.Model, settings: CompileOptions, application: Application | None
) -> tuple[ir.Model, CompileOptions, Application]:
    """Return the network that suppresses boxes itself, and how its detections are read, also where losses are measured.

    Raises:
        BadOption: Its decoder does not fit, or the network does not take one picture.
    """
    input = picture_input(inputs_of(model))
    size = input.shape[2:] if settings.preprocess.layout == "NCHW" else input.shape[1:3]
    recent = model if opset(model) >= OPSET else RaiseOpset()(model.clone()).model
    changed, read = with_suppression(recent, application, (size[1], size[0]))
    read_as = ",".join(["boxes", *(f"{key}={value}" for key, value in read.settings.items() if key != "classes")])
    measuring = replace(settings.measuring, decoder=read_as)
    return changed, settings.model_copy(update={"measuring": measuring}), read


def _in_precision_of(model: ir.Model, settings: CompileOptions, profile: Profile) -> CompileOptions:
    """Return `settings` with precision int8 if the model is quantized already and the board supports int8."""
    on_integers = settings.precision == "fp32" and "int8" in profile.precisions and is_quantized(model)
    return settings.model_copy(update={"precision": "int8"}) if on_integers else settings


def _inner(model: ir.Model, lowered: Lowered) -> tuple[str, ...]:
    """Return the inner values to compare; none if sizes depend on the data, because their padding is arbitrary."""
    return () if true_sizes(model).counts else chosen(lowered.inner)


def _outputs(model: ir.Model, samples: Sequence[Arrays]) -> list[Arrays]:
    reference = Reference(model)
    return [reference.run(feeds) for feeds in samples]


def _that_run(model: ir.Model, samples: Sequence[Arrays], record: Record) -> tuple[list[Arrays], list[Arrays]]:
    """Return the samples that ONNX Runtime can run, and its outputs.

    A detector in two stages may find nothing in a sample, and then fail on the empty tensors.

    Raises:
        CannotRunInputs: It can run none of them.
    """
    reference, pairs, refused = Reference(model), [], []
    for place, feeds in enumerate(samples):
        try:
            pairs.append((feeds, reference.run(feeds)))
        except CannotRunInputs as error:
            record.refuse("golden inputs", f"sample {place}", error.problem)
            refused.append(error)
    if not pairs and refused:
        raise refused[0]
    return [feeds for feeds, _ in pairs], [outputs for _, outputs in pairs]


def golden_inputs(model: ir.Model, given: Mapping[str, Given] | None, settings: CompileOptions) -> list[Arrays]:
    """Return the golden inputs: the given ones or, otherwise, synthetic ones and then pictures of the data."""
    specs = inputs_of(model)
    if given is not None:
        files = {name: Path(value) for name, value in given.items() if isinstance(value, (str, os.PathLike))}
        arrays = {name: np.asarray(value) for name, value in given.items() if name not in files}
        if files:
            read = tuple(spec for spec in specs if spec.name not in arrays)
            arrays |= read_inputs(files, read, settings.preprocess)
        check_feeds(arrays, specs)
        return [{spec.name: arrays[spec.name] for spec in specs}]
    samples: list[Arrays] = [*golden_samples(specs, settings.seed)]
    if settings.measuring.data is not None:
        pictures = spread(open_samples(settings.measuring.data, specs, settings.preprocess), len(samples) - 1)
        samples[1:] = [sample.inputs for sample in pictures]
    return samples
