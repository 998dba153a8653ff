"""How a report opens: the original beside the artefact in accuracy, time and size, and what was measured since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgec.artefact.manifest import Manifest
from edgec.artefact.measured import ESTIMATED, Measured
from edgec.evaluation.task import UNLABELLED
from edgec.report.findings import Findings
from edgec.report.units import mib, millions, ms, signed

Row = dict[str, Any]


def comparison(findings: Findings, manifest: Manifest) -> list[Row]:
    """Return a row for each figure that is known of both sides: name, the two bars, and what it means."""
    return list(_figures(findings, manifest))


def _figures(findings: Findings, manifest: Manifest) -> Iterator[Row]:
    found = manifest.compression
    if found is not None and found.before is not None and found.after is not None and found.loss is not None:
        kept = found.accepted is None or found.loss <= found.accepted
        note = f"loss {found.loss:.4f}".replace("-", "−")
        note += "" if found.accepted is None else f", accepted {found.accepted:g}"
        values = f"{found.before:.4f}", f"{found.after:.4f}"
        name = f"{found.metric}, {found.held_out} held-out samples"
        yield _row(name, (found.before, found.after), values, note, "good" if kept else "bad")
    elif found is not None and found.metric == UNLABELLED and (loss := found.steps[-1].loss) is not None:
        note = f"error of the outputs, {found.decided_on} samples without labels"
        yield _row("agreement with the original", (1.0, max(1 - loss, 0.0)), ("100 %", f"{1 - loss:.1%}"), note)
    seconds = [sum(layer.seconds[side] for layer in findings.layers if layer.seconds) for side in (0, 1)]
    if seconds[0] > 0:
        note = f"{seconds[0] / max(seconds[1], 1e-12):.2f} × as fast; edgec's estimate for the board"
        yield _row("time", seconds, (ms(seconds[0]), ms(seconds[1])), note if seconds[0] != seconds[1] else "estimate")
    macs = [sum(layer.macs[side] for layer in findings.layers) for side in (0, 1)]
    if macs[0]:
        yield _row("multiply-accumulates", macs, (millions(macs[0]), millions(macs[1])), _change(macs))
    sizes = findings.weight_bytes
    yield _row("weights", sizes, (mib(sizes[0]), mib(sizes[1])), _change(sizes))


def _change(sides: Any) -> str:
    return signed(sides[1] / sides[0] - 1) if sides[0] and sides[0] != sides[1] else "as in the original"


def _row(name: str, sides: Any, values: tuple[str, str], note: str, mood: str = "") -> Row:
    longest = max(*sides, 1e-12)
    widths = [f"{100 * max(side, 0) / longest:.1f}" for side in sides]
    bars = [{"who": who, "width": widths[n], "value": values[n]} for n, who in enumerate(("original", "artefact"))]
    return {"name": name, "bars": bars, "note": note, "mood": mood}


def why(manifest: Manifest) -> str:
    """Return a sentence on what made the difference; empty if the network was not compressed."""
    found = manifest.compression
    if found is None:
        return ""
    parts = []
    for before, after in zip(found.steps, found.steps[1:], strict=False):
        changes = []
        if after.macs != before.macs:
            changes.append(f"multiply-accumulates {signed(after.macs / max(before.macs, 1) - 1)}")
        if after.weight_bytes != before.weight_bytes:
            changes.append(f"weights {signed(after.weight_bytes / max(before.weight_bytes, 1) - 1)}")
        if before.seconds and after.seconds is not None and after.seconds != before.seconds:
            changes.append(f"estimated time {signed(after.seconds / before.seconds - 1)}")
        parts.append(f"{after.name}: {', '.join(changes) or 'no change'}")
    return "; ".join(parts)


def cards(measured: Measured) -> list[Row]:
    """Return a card for each measurement in the evidence."""
    latency, emulated = measured.latency, measured.emulated_time
    checked, evaluated = measured.verification, measured.evaluation
    found = []
    if latency:
        note = f"median of {latency.runs} runs, {latency.threads} threads, {latency.where}"
        found.append(_card(latency.title, f"{latency.median:.2f}", "ms", note))
    if emulated:
        note = f"{emulated.conditions}; constants from {emulated.basis}"
        found.append(_card(ESTIMATED, f"{emulated.ms:.3g}", "ms", note))
    if checked:
        error = max((each.relative for each in checked.comparison.outputs), default=None)
        value = "passed" if error is None else f"{error:.1e}"
        note = (
            f"largest error relative to ONNX Runtime; accepted {checked.tolerance:.0e} of the range ({checked.where})"
        )
        found.append(_card("verification", value, "", note))
    if evaluated:
        note = f"of the artefact, {evaluated.samples} samples ({evaluated.where})"
        for name, result in evaluated.metrics.items():
            found.append(_card(name, "–" if result.value is None else f"{result.value:.4f}", "", note))
    return found


def _card(name: str, value: str, unit: str, note: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "note": note}
