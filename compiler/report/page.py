"""`render`: an artefact's manifest, findings and evidence as one HTML page."""

from __future__ import annotations

import json

from edgec.artefact.artefact import Artefact
from edgec.artefact.manifest import Manifest
from edgec.artefact.measured import read_measured
from edgec.errors import BadArtefact
from edgec.report import charts, headline, picture_pairs, tables
from edgec.report.findings import Findings
from edgec.report.template import fill
from edgec.report.units import mib

SHOWN_HISTOGRAMS = 12


def render(artefact: Artefact) -> str:
    """Return the report as HTML that needs no other file and no network.

    Raises:
        BadArtefact: It was compiled by an edgec that stored no findings, or its evidence is damaged.
    """
    manifest, measured = artefact.manifest, read_measured(artefact.folder, picture_pairs.Reported)
    findings = Findings.read(artefact.folder)
    if findings is None:
        raise BadArtefact(f"{artefact.folder} contains no findings to report", remedy="Compile again with this edgec.")
    compression = manifest.compression
    layers = findings.layers
    return fill(
        "page.html.j2",
        title=f"{manifest.source.name} on {'this machine' if manifest.board.name == 'host' else manifest.board.title}",
        subtitle=_subtitle(manifest, artefact.size),
        comparison=headline.comparison(findings, manifest),
        why=headline.why(manifest),
        cards=headline.cards(measured),
        steps=tables.steps(manifest),
        steps_note=tables.steps_note(manifest),
        pictures=picture_pairs.pictures(findings, measured),
        pictures_note=picture_pairs.pictures_note(manifest, measured),
        curves=charts.curves(findings.curves, compression.accepted if compression else None) if findings.curves else "",
        layers=tables.layers(layers),
        layers_note=tables.layers_note(layers),
        kernels=tables.kernels(measured.kernels),
        kernels_note=tables.kernels_note(measured.kernels),
        has_time=any(layer.seconds for layer in layers),
        has_sqnr=any(layer.sqnr is not None for layer in layers),
        histograms=[
            {"name": each.tensor, "drawing": charts.histogram(each), "note": _range(each.low, each.high, each.method)}
            for each in findings.histograms
        ],
        shown_histograms=SHOWN_HISTOGRAMS,
        passes=manifest.passes,
        refusals=manifest.refusals,
        settings=_settings(manifest),
    )


def _subtitle(manifest: Manifest, size: int) -> str:
    board = manifest.board
    threads = f"{manifest.threads} thread{'' if manifest.threads == 1 else 's'}"
    where = f"{board.cpu}, {threads}" if board.gpu is None else board.gpu.architecture
    return f"{manifest.options.precision} for {where}; the artefact takes {mib(size)}. edgec {manifest.edgec}."


def _range(low: float, high: float, method: str) -> str:
    return f"{low:.3g} to {high:.3g} ({method})"


def _settings(manifest: Manifest) -> str:
    used = manifest.options.model_dump(mode="json", exclude_none=True)
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in used.items() if value not in ([], {})]
    return "\n".join(lines)
