"""`render`: an artefact's manifest, findings and evidence as one HTML page."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from edgec.artefact.artefact import Artefact
from edgec.artefact.manifest import Manifest
from edgec.errors import BadArtefact
from edgec.report import charts
from edgec.report.findings import Answer, Findings, Layer
from edgec.report.measured import ESTIMATED, Kernels, Measured, read_measured
from edgec.report.template import fill

MIB = 2**20
SHOWN_HISTOGRAMS = 12

Row = dict[str, Any]


def render(artefact: Artefact) -> str:
    """Return the report as HTML that needs no other file and no network.

    Raises:
        BadArtefact: It was compiled by an edgec that stored no findings, or its evidence is damaged.
    """
    manifest, measured = artefact.manifest, read_measured(artefact.folder)
    findings = Findings.read(artefact.folder)
    if findings is None:
        raise BadArtefact(f"{artefact.folder} contains no findings to report", remedy="Compile again with this edgec.")
    compression = manifest.compression
    layers = findings.layers
    return fill(
        "page.html.j2",
        title=f"{manifest.source.name} on {'this machine' if manifest.board.name == 'host' else manifest.board.title}",
        subtitle=_subtitle(manifest, artefact.size),
        cards=_cards(findings, manifest, measured),
        steps=_steps(manifest),
        steps_note=_steps_note(manifest),
        pictures=_pictures(findings, measured),
        pictures_note=_pictures_note(manifest, measured),
        curves=charts.curves(findings.curves, compression.accepted if compression else None) if findings.curves else "",
        layers=_layers(layers),
        layers_note=_layers_note(layers),
        kernels=_kernels(measured.kernels),
        kernels_note=_kernels_note(measured.kernels),
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
    return f"{manifest.options.precision} for {where}; the artefact takes {_mib(size)}. edgec {manifest.edgec}."


def _cards(findings: Findings, manifest: Manifest, measured: Measured) -> list[Row]:
    macs = [sum(layer.macs[side] for layer in findings.layers) for side in (0, 1)]
    cards = [
        _card("weights", _mib(findings.weight_bytes[1]), findings.weight_bytes, _mib(findings.weight_bytes[0])),
        _card("multiply-accumulates", _millions(macs[1]), macs, _millions(macs[0])),
    ]
    seconds = [sum(layer.seconds[side] for layer in findings.layers if layer.seconds) for side in (0, 1)]
    if seconds[0]:
        share = seconds[0] / max(seconds[1], 1e-12)
        note = f"by edgec's estimate for the board, {_ms(seconds[1])}"
        value = f"{share:.2f} ×" if seconds[1] != seconds[0] else _ms(seconds[1])
        name = "speed against the original" if seconds[1] != seconds[0] else "time"
        width = 100 * seconds[1] / seconds[0]
        cards.append({"name": name, "value": value, "unit": "", "share": width, "note": note, "mood": ""})
    accuracy = _accuracy(manifest)
    if accuracy:
        cards.append(accuracy)
    return cards + _measured_cards(measured)


def _measured_cards(measured: Measured) -> list[Row]:
    latency, emulated = measured.latency, measured.emulated_time
    checked, evaluated = measured.verification, measured.evaluation
    cards = []
    if latency:
        note = f"median of {latency.runs} runs, {latency.threads} threads, {latency.where}"
        cards.append(_plain(latency.title, f"{latency.median:.2f}", "ms", note))
    if emulated:
        note = f"{emulated.conditions}; constants from {emulated.basis}"
        cards.append(_plain(ESTIMATED, f"{emulated.ms:.3g}", "ms", note))
    if checked:
        error = max((each.relative for each in checked.comparison.outputs), default=None)
        value = "passed" if error is None else f"{error:.1e}"
        note = (
            f"largest error relative to ONNX Runtime; accepted {checked.tolerance:.0e} of the range ({checked.where})"
        )
        cards.append(_plain("verification", value, "", note))
    if evaluated:
        note = f"of the artefact, {evaluated.samples} samples ({evaluated.where})"
        for name, result in evaluated.metrics.items():
            cards.append(_plain(name, "–" if result.value is None else f"{result.value:.4f}", "", note))
    return cards


def _card(name: str, value: str, sides: Any, before: str) -> Row:
    number, _, unit = value.partition(" ")
    share = sides[1] / sides[0] if sides[0] else 1.0
    note = f"{before} before, {_signed(share - 1)}" if sides[0] != sides[1] else "as in the original"
    return {"name": name, "value": number, "unit": unit, "share": 100 * share, "note": note, "mood": ""}


def _plain(name: str, value: str, unit: str, note: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "share": None, "note": note, "mood": ""}


def _accuracy(manifest: Manifest) -> Row | None:
    found = manifest.compression
    if found is None or found.loss is None or found.after is None or found.before is None:
        return None
    kept = found.accepted is None or found.loss <= found.accepted
    loss = f"{found.loss:.4f}".replace("-", "−")
    note = f"{found.before:.4f} before; loss {loss}, accepted {found.accepted:g}; {found.held_out} samples"
    return {
        "name": f"{found.metric}, held-out data",
        "value": f"{found.after:.4f}",
        "unit": "",
        "share": None,
        "note": note,
        "mood": "good" if kept else "bad",
    }


def _steps(manifest: Manifest) -> list[Row]:
    if manifest.compression is None:
        return []
    return [
        {
            "name": step.name,
            "loss": "–" if step.loss is None else f"{step.loss:.4f}".replace("-", "−"),
            "macs": _millions(step.macs),
            "weights": _mib(step.weight_bytes),
            "time": "–" if step.seconds is None else _ms(step.seconds),
        }
        for step in manifest.compression.steps
    ]


def _steps_note(manifest: Manifest) -> str:
    found = manifest.compression
    if found is None:
        return ""
    text = f"Loss of {found.metric} on the {found.decided_on} samples used for decisions; time by edgec's "
    text += "estimate for the board."
    if found.held_out:
        again = "in the first round" if found.rounds == 1 else f"in {found.rounds} rounds, each with half of the loss"
        text += f" The {found.held_out} held-out samples were not used for decisions; they confirmed the loss {again}."
    return text


def _pictures(findings: Findings, measured: Measured) -> list[Row]:
    said = measured.pictures.answers if measured.pictures else ()
    told = [each for picture in findings.pictures for each in (picture.original, picture.compressed)]
    told += said
    classes = sorted({box.label for each in told for box in each.boxes})
    rows = []
    for number, picture in enumerate(findings.pictures):
        artefact = said[number] if number < len(said) else picture.compressed
        sides = [
            {
                "who": who,
                "overlay": charts.overlay(answer, picture.size, classes),
                "count": _objects(answer) if not answer.text else "",
                "text": answer.text,
            }
            for who, answer in (("original", picture.original), ("artefact" if said else "compressed", artefact))
        ]
        truth = "" if picture.truth is None else picture.truth.text or _objects(picture.truth)
        width, height = picture.size
        rows.append(
            {"name": picture.name, "png": picture.png, "width": width, "height": height, "truth": truth, "sides": sides}
        )
    return rows


def _objects(answer: Answer) -> str:
    count = len(answer.boxes)
    return f"{count} object{'' if count == 1 else 's'}"


def _pictures_note(manifest: Manifest, measured: Measured) -> str:
    found, shown = manifest.compression, measured.pictures
    where = f"artefact ({shown.where})" if shown else "compressed network (in ONNX Runtime, not on the board)"
    which = "held-out samples" if found is not None and found.held_out else "samples"
    return f"Left: results of the original; right: those of the {where}; {which} taken at even distances."


def _layers(layers: tuple[Layer, ...]) -> list[Row]:
    longest = max((max(layer.seconds) for layer in layers if layer.seconds), default=0.0) or 1.0
    return [
        {
            "name": Markup("/<wbr>").join(layer.name.split("/")),  # allows line breaks in names on a phone
            "op": layer.op,
            "shape": "×".join(map(str, layer.shape)),
            "macs": _millions(layer.macs[1])
            if layer.macs[0] == layer.macs[1]
            else f"{_millions(layer.macs[0])} → {_millions(layer.macs[1])}",
            "time": _ms(layer.seconds[1]) if layer.seconds else "",
            "was": f"{100 * layer.seconds[0] / longest:.1f}" if layer.seconds else 0,
            "now": f"{100 * layer.seconds[1] / longest:.1f}" if layer.seconds else 0,
            "kept": f"{layer.kept:.0%}",
            "bits": layer.bits,
            "sqnr": "–" if layer.sqnr is None else f"{layer.sqnr:.1f} dB",
        }
        for layer in layers
    ]


def _layers_note(layers: tuple[Layer, ...]) -> str:
    text = "Every layer that takes time, in the order of the network."
    if any(layer.seconds and layer.seconds[0] != layer.seconds[1] for layer in layers):
        text += " Bars: time before (grey) and now, by edgec's estimate for the board."
    elif any(layer.seconds for layer in layers):
        text += " Times are edgec's estimates for the board."
    if any(layer.sqnr is not None for layer in layers):
        text += " SQNR: signal-to-noise ratio of the layer's output relative to the float network; above 20 dB is good."
    return text


def _kernels(found: Kernels | None) -> list[Row]:
    """Return a row for each kernel, slowest first."""
    kernels = sorted(found.kernels, key=lambda each: -each.ms) if found else []
    longest = (kernels[0].ms if kernels else 0.0) or 1.0
    whole = sum(each.ms for each in kernels) or 1.0
    return [
        {
            "nodes": Markup("/<wbr>").join((" + ".join(each.nodes) or each.function).split("/")),
            "time": _ms(1e-3 * each.ms),
            "bar": f"{100 * each.ms / longest:.1f}",
            "share": f"{each.ms / whole:.1%}",
            "macs": _millions(each.macs),
            "moved": f"{each.bytes / 1024:,.1f} KiB",
            "peak": f"{each.share_of_peak:.0%}" if each.share_of_peak else "–",
        }
        for each in kernels
    ]


def _kernels_note(found: Kernels | None) -> str:
    if not found:
        return ""
    whole = found.executor_ms + sum(each.ms for each in found.kernels)
    return (
        f"Medians of {found.runs} runs, {found.threads} threads, {found.where}. Kernels and what lies between "
        f"them ({_ms(1e-3 * found.executor_ms)}) are {_ms(1e-3 * whole)} together; without clocks inside, an "
        f"inference takes {_ms(1e-3 * found.whole_ms)}. Peak: fp32 multiply-adds on registers alone."
    )


def _range(low: float, high: float, method: str) -> str:
    return f"{low:.3g} to {high:.3g} ({method})"


def _settings(manifest: Manifest) -> str:
    used = manifest.options.model_dump(mode="json", exclude_none=True)
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in used.items() if value not in ([], {})]
    return "\n".join(lines)


def _signed(share: float) -> str:
    return f"{share:+.0%}".replace("-", "−").replace("%", "\u202f%")


def _mib(size: int) -> str:
    return f"{size / MIB:.2f} MiB" if size < 10 * MIB else f"{size / MIB:.1f} MiB"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} M" if count < 1e7 else f"{count / 1e6:,.1f} M"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.1f} µs"
