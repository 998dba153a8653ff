"""Tables of a report: the steps of a compression, layers, and measured kernels."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from edgec.artefact.manifest import Manifest
from edgec.artefact.measured import Kernels
from edgec.report.findings import Layer
from edgec.report.units import mib, millions, ms

Row = dict[str, Any]


def steps(manifest: Manifest) -> list[Row]:
    """Return a row for each step of the compression, the original first."""
    if manifest.compression is None:
        return []
    return [
        {
            "name": step.name,
            "loss": "–" if step.loss is None else f"{step.loss:.4f}".replace("-", "−"),
            "macs": millions(step.macs),
            "weights": mib(step.weight_bytes),
            "time": "–" if step.seconds is None else ms(step.seconds),
        }
        for step in manifest.compression.steps
    ]


def steps_note(manifest: Manifest) -> str:
    """Return on what, and how, the steps were measured."""
    found = manifest.compression
    if found is None:
        return ""
    text = f"Loss of {found.metric} on the {found.decided_on} samples used for decisions; time by edgec's "
    text += "estimate for the board."
    if found.held_out:
        again = "in the first round" if found.rounds == 1 else f"in {found.rounds} rounds, each with half of the loss"
        text += f" The {found.held_out} held-out samples were not used for decisions; they confirmed the loss {again}."
    return text


def layers(layers: tuple[Layer, ...]) -> list[Row]:
    """Return a row for each layer, in the order of the network."""
    longest = max((max(layer.seconds) for layer in layers if layer.seconds), default=0.0) or 1.0
    return [
        {
            "name": Markup("/<wbr>").join(layer.name.split("/")),  # allows line breaks in names on a phone
            "op": layer.op,
            "shape": "×".join(map(str, layer.shape)),
            "macs": millions(layer.macs[1])
            if layer.macs[0] == layer.macs[1]
            else f"{millions(layer.macs[0])} → {millions(layer.macs[1])}",
            "time": ms(layer.seconds[1]) if layer.seconds else "",
            "was": f"{100 * layer.seconds[0] / longest:.1f}" if layer.seconds else 0,
            "now": f"{100 * layer.seconds[1] / longest:.1f}" if layer.seconds else 0,
            "kept": f"{layer.kept:.0%}",
            "bits": layer.bits,
            "sqnr": "–" if layer.sqnr is None else f"{layer.sqnr:.1f} dB",
        }
        for layer in layers
    ]


def layers_note(layers: tuple[Layer, ...]) -> str:
    """Return what the columns of the table of layers mean."""
    text = "Every layer that takes time, in the order of the network."
    if any(layer.seconds and layer.seconds[0] != layer.seconds[1] for layer in layers):
        text += " Bars: time before (grey) and now, by edgec's estimate for the board."
    elif any(layer.seconds for layer in layers):
        text += " Times are edgec's estimates for the board."
    if any(layer.sqnr is not None for layer in layers):
        text += " SQNR: signal-to-noise ratio of the layer's output relative to the float network; above 20 dB is good."
    return text


def kernels(found: Kernels | None) -> list[Row]:
    """Return a row for each kernel, slowest first."""
    kernels = sorted(found.kernels, key=lambda each: -each.ms) if found else []
    longest = (kernels[0].ms if kernels else 0.0) or 1.0
    whole = sum(each.ms for each in kernels) or 1.0
    return [
        {
            "nodes": Markup("/<wbr>").join((" + ".join(each.nodes) or each.function).split("/")),
            "time": ms(1e-3 * each.ms),
            "bar": f"{100 * each.ms / longest:.1f}",
            "share": f"{each.ms / whole:.1%}",
            "macs": millions(each.macs),
            "moved": f"{each.bytes / 1024:,.1f} KiB",
            "peak": f"{each.share_of_peak:.0%}" if each.share_of_peak else "–",
        }
        for each in kernels
    ]


def kernels_note(found: Kernels | None) -> str:
    """Return how the kernels were measured, and what they are together."""
    if not found:
        return ""
    whole = found.executor_ms + sum(each.ms for each in found.kernels)
    return (
        f"Medians of {found.runs} runs, {found.threads} threads, {found.where}. Kernels and what lies between "
        f"them ({ms(1e-3 * found.executor_ms)}) are {ms(1e-3 * whole)} together; without clocks inside, an "
        f"inference takes {ms(1e-3 * found.whole_ms)}. Peak: fp32 multiply-adds on registers alone."
    )
