"""`matrix`: models compiled for several boards in several precisions, and their figures in one table."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import onnx_ir as ir

from edgec import __version__
from edgec.api.compile import compile
from edgec.api.evaluate import evaluate
from edgec.api.matrix_table import Cell, Matrix
from edgec.artefact.artefact import Artefact
from edgec.errors import BadOption, EdgecError, MissingDependency, VerificationFailed
from edgec.jobs.journal import Journal
from edgec.jobs.run import run
from edgec.jobs.workers import Workers
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import Precision, compile_options
from edgec.plain_file import hash_file
from edgec.progress import Listener, Reporter
from edgec.reference.peers import PEERS, Run, by_turns, check_peers
from edgec.report.findings import Findings
from edgec.targets.base import is_emulated
from edgec.targets.board import is_this_machine, load_board
from edgec.whole_file import write_text

OF_PEERS = "fp32"
"""Precision whose artefacts are timed beside peers, which run the original model."""


@dataclass(frozen=True)
class _Part:
    """One cell to compute; picklable."""

    key: str
    model: str
    settings: Mapping[str, Any]
    target: str
    precision: str
    folder: str
    peers: tuple[str, ...]


Model = str | os.PathLike[str]


def matrix(
    models: Sequence[Model] | Mapping[str, Mapping[str, Any]],
    *,
    targets: Sequence[str],
    precisions: Sequence[str] = ("fp32",),
    output: Model = "matrix",
    peers: Sequence[str] = (),
    workers: int = 0,
    progress: Listener | None = None,
) -> Matrix:
    """Compile each model for each board in each precision, and collect the figures of the artefacts.

    An interrupted call continues where it stopped: cells of the same model, settings and edgec are not computed again.

    Args:
        models: Paths of ONNX files, whose names differ; or path -> its options of `compile`, e.g. shapes, data, metric.
        targets: Names of boards, or paths of board files.
        precisions: Precisions; a board that lacks one refuses.
        output: Folder for the artefacts, and for matrix.json, matrix.csv, matrix.md and matrix.html.
        peers: Runtimes that are timed beside fp32 artefacts for this machine: `onnxruntime`, `openvino`.
        workers: Number of processes; 0: this one. Times are best measured with 0.
        progress: Called with the number of finished cells.

    Raises:
        BadOption: There is no such board, precision or peer, settings are wrong, two models have the same name, or the
            metric cannot be measured on the data. Cells that are finished are kept.
        MissingDependency: A peer, or what a back end needs, is not installed.
    """
    given = models if isinstance(models, Mapping) else {os.fspath(model): {} for model in models}
    paths = {Path(model): settings for model, settings in given.items()}
    folder = Path(output)
    _check(paths, targets, precisions, peers)
    parts = [
        _part(path, settings, target, precision, folder, tuple(peers))
        for path, settings in paths.items()
        for target in targets
        for precision in precisions
    ]
    journal = Journal(folder / "cells.jsonl", {"what": "cells of a matrix", "edgec": __version__})
    known = {record["key"]: record for record in journal.records}
    missing = [part for part in parts if not _is_there(known.get(part.key))]
    count, before = Reporter(progress).counter("compile"), len(journal.records)
    run(
        _filled,
        missing,
        journal,
        Workers(workers),
        lambda: count(len(parts) - len(missing) + len(journal.records) - before, len(parts)),
    )
    found = {record["key"]: record["cell"] for record in journal.records}
    result = Matrix(tuple(Cell(**found[part.key]) for part in parts))
    write_text(folder / "matrix.json", json.dumps(result.as_json(), indent=1) + "\n")
    write_text(folder / "matrix.csv", result.csv())
    write_text(folder / "matrix.md", result.markdown())
    write_text(folder / "matrix.html", result.html())
    return result


def _check(
    paths: Mapping[Path, Mapping[str, Any]], targets: Sequence[str], precisions: Sequence[str], peers: Sequence[str]
) -> None:
    """Raise an error for wrong names before the long work begins."""
    names = [path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadOption(f"two models are named {twice[0]}", remedy="Rename one of the files.")
    for wrong in (name for name in precisions if name not in get_args(Precision)):
        raise BadOption(f"unknown precision {wrong!r}", remedy=f"Known precisions: {', '.join(get_args(Precision))}.")
    check_peers(peers)
    for target in targets:
        load_board(target)
        for settings in paths.values():
            compile_options({**settings, "target": target})


def _part(
    path: Path, settings: Mapping[str, Any], target: str, precision: str, folder: Path, peers: tuple[str, ...]
) -> _Part:
    text = json.dumps([settings, precision, peers], sort_keys=True, default=str)
    digest = hashlib.sha256((hash_file(path) + target + text).encode()).hexdigest()[:16]
    place = folder / f"{path.stem}.{Path(target).stem}.{precision}"
    return _Part(digest, str(path), dict(settings), target, precision, str(place), peers)


def _is_there(record: Mapping[str, Any] | None) -> bool:
    """Return whether a cell has a result whose artefact still exists."""
    return record is not None and (record["cell"]["verdict"] != "compiled" or Path(record["cell"]["artefact"]).is_dir())


def _filled(part: _Part) -> Iterable[dict[str, Any]]:
    """Yield the record of one cell."""
    cell = partial(Cell, Path(part.model).stem, Path(part.target).stem, part.precision)
    settings = {**part.settings, "target": part.target, "precision": part.precision}
    try:
        artefact = compile(part.model, output=part.folder, **settings)
    except MissingDependency:  # of this machine, not of the model or the board
        raise
    except VerificationFailed as error:
        filled = cell("wrong", error.problem)
    except EdgecError as error:
        filled = cell("refused", error.problem.splitlines()[0])
    else:
        filled = cell("compiled", **_figures(artefact, part))
    yield {"key": part.key, "cell": asdict(filled)}


def _figures(artefact: Artefact, part: _Part) -> dict[str, Any]:
    """Return size, error, metric and time of an artefact, as far as this machine can measure them."""
    manifest = artefact.manifest
    here = is_this_machine(manifest.board)
    known: dict[str, Any] = {"artefact": str(artefact.folder), "size": artefact.size}
    if artefact.verification is not None:
        known["error"] = artefact.verification.worst
    if manifest.compression is not None and manifest.compression.after is not None:
        known |= {"metric": manifest.compression.metric, "value": manifest.compression.after}
    measuring = compile_options({**part.settings, "target": part.target}).measuring  # the manifest has only its name
    if here and measuring.data is not None:
        evaluation = evaluate(artefact, measuring=measuring, reference=_fixed(artefact, part))
        evaluation.keep(artefact.folder)
        known |= {"metric": next(iter(evaluation.metrics)), "value": evaluation.value}
    return known | (_measured(artefact, part) if here else _estimated(artefact))


def _fixed(artefact: Artefact, part: _Part) -> ir.Model:
    """Return the model with the shapes of the artefact."""
    return fix_shapes(load(part.model).model, artefact.manifest.options.shapes)


def _estimated(artefact: Artefact) -> dict[str, Any]:
    """Return the estimated time of an artefact on its board: of the whole network, or the sum of its layers."""
    whole = artefact.manifest.runtime.get("estimate")
    findings = Findings.read(artefact.folder)
    seconds = [layer.seconds for layer in findings.layers] if findings else []
    if whole:
        ms = float(whole["ms"])
    elif None not in seconds:
        ms = 1e3 * sum(each[1] for each in seconds if each is not None)
    else:
        ms = 0.0
    return {"ms": ms, "time": "estimated"} if ms else {}


def _measured(artefact: Artefact, part: _Part) -> dict[str, Any]:
    """Return the time of an artefact on this machine; in fp32 its runs alternate with those of the peers."""
    with artefact.runner() as runner:
        runs: dict[str, Run] = {"": runner.run}
        if part.precision == OF_PEERS:
            model = _fixed(artefact, part)
            proto = ir.to_proto(model).SerializeToString()
            names = [output.name or "" for output in model.graph.outputs]
            runs |= {name: PEERS[name](proto, names, artefact.usable_threads()) for name in part.peers}
        times = dict(zip(runs, by_turns(list(runs.values()), artefact.golden_inputs(), time.perf_counter), strict=True))
        how = "emulated" if is_emulated(runner.description) else "measured"
    return {"ms": times.pop(""), "time": how, "peers": times}
