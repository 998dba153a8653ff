"""Drawings of a report, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import takewhile
from os.path import commonprefix

from markupsafe import Markup

from edgec.report.findings import Answer, Curve, RangeHistogram

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 14, 42
"""Margins of the curves; the right one contains the names of the most sensitive groups."""
NAMED = 6
NAME_LENGTH = 22
LINE = 15
HUES = (205, 335)
"""Colours of the first and the last layer."""
PALETTE = ("#d7263d", "#1b7f4f", "#2563c9", "#8a3ffc", "#b45309", "#0e7490", "#be185d", "#4d5d53")


def curves(groups: Sequence[Curve], accepted: float | None) -> Markup:
    """Draw loss over ratio, one line per group, coloured by its position in the network.

    Args:
        groups: Curves in the order of the network.
        accepted: Accepted loss of the whole network, drawn as a line if it is within the axes.
    """
    losses = [max(loss, 0.0) for group in groups for loss in group.losses if math.isfinite(loss)]
    highest = max(losses, default=0.0) or 1.0

    def at(ratio: float, loss: float) -> tuple[float, float]:
        x = LEFT + ratio * (WIDTH - LEFT - RIGHT)
        return round(x, 1), round(HEIGHT - BOTTOM - max(loss, 0.0) / highest * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss by share of channels pruned">']
    for tick in _ticks(highest):
        x, y = at(0, tick)
        parts.append(f'<line class="grid" x1="{x}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for step in range(0, 11, 2):
        x, y = at(step / 10, 0)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{step * 10} %</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">channels removed</text>'
    )
    for place, group in enumerate(groups):
        seen = takewhile(lambda pair: math.isfinite(pair[1]), zip(group.ratios, group.losses, strict=True))
        points = [at(0, 0), *(at(ratio, loss) for ratio, loss in seen)]
        line = " ".join(f"{x},{y}" for x, y in points)
        name = f"{group.name}: {group.units} channels, {group.removed} removed"
        colour = _colour(place, len(groups))
        parts.append(f'<polyline class="curve" style="stroke: {colour}" points="{line}">')
        parts.append(f"<title>{escape(name)}</title></polyline>")
    if accepted is not None and accepted <= highest:
        x, y = at(0, accepted)
        parts.append(f'<line class="accepted" x1="{x}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="accepted-text" x="{x + 6}" y="{y - 5}">accepted: {accepted:g}</text>')
    parts += _names(groups, at)
    return Markup("".join([*parts, "</svg>"]))


def _names(groups: Sequence[Curve], at: Callable[[float, float], tuple[float, float]]) -> list[str]:
    """Name the most sensitive groups at the ends of their lines, moved apart where they would overlap."""
    backwards = [group.name[::-1] for group in groups]
    shared = commonprefix(backwards)[::-1] if len(groups) > 1 else ""  # noqa: RUF071  (of characters: names are no paths)
    place = {group.name: number for number, group in enumerate(groups)}
    worst = sorted(groups, key=lambda group: -group.losses[-1])[:NAMED]
    parts, lowest = [], float(TOP)
    for group in worst:
        x, y = at(group.ratios[-1], group.losses[-1])
        y = max(y + 4, lowest + LINE)
        lowest = y
        name = group.name.removesuffix(shared)
        name = name if len(name) <= NAME_LENGTH else "…" + name[-NAME_LENGTH + 1 :]
        colour = _colour(place[group.name], len(groups))
        parts.append(f'<text x="{x + 8}" y="{y}" style="fill: {colour}">{escape(name)}</text>')
    return parts


def _colour(place: int, count: int) -> str:
    share = place / max(count - 1, 1)
    return f"hsl({HUES[0] + share * (HUES[1] - HUES[0]):.0f} 70% 55%)"


def _ticks(highest: float) -> list[float]:
    """Return about five round numbers from 0 to at most `highest`."""
    rough = highest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [round(step * number, 12) for number in range(int(highest / step + 1e-9) + 1)]


def histogram(seen: RangeHistogram) -> Markup:
    """Draw a histogram with the chosen range."""
    width, height = 260, 90
    stop = seen.start + seen.width * len(seen.counts)
    first, last = min(seen.start, seen.low), max(stop, seen.high)
    highest = math.log1p(max(seen.counts, default=1)) or 1.0

    def x(value: float) -> float:
        return round((value - first) / ((last - first) or 1.0) * width, 2)

    label = escape(f"Values of {seen.tensor}")
    parts = [f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{label}">']
    low, high = x(seen.low), x(seen.high)
    parts.append(f'<rect class="range" x="{low}" y="0" width="{max(high - low, 0.5):.2f}" height="{height}"/>')
    for number, count in enumerate(seen.counts):
        if not count:
            continue
        left, tall = seen.start + number * seen.width, math.log1p(count) / highest * (height - 6)
        middle = left + seen.width / 2
        kind = "bars kept" if seen.low <= middle <= seen.high else "bars"
        wide = max(x(left + seen.width) - x(left) - 0.4, 0.4)
        parts.append(
            f'<rect class="{kind}" x="{x(left)}" y="{height - tall:.1f}" width="{wide:.2f}" height="{tall:.1f}"/>'
        )
    for edge in (low, high):
        parts.append(f'<line class="edge" x1="{edge}" x2="{edge}" y1="0" y2="{height}"/>')
    return Markup("".join([*parts, "</svg>"]))


def overlay(answer: Answer, size: tuple[int, int], classes: Sequence[str]) -> Markup:
    """Draw boxes over a picture of `size`, in one colour for each of `classes`."""
    if not answer.boxes:
        return Markup("")
    width, height = 320, round(320 * size[1] / max(size[0], 1))
    parts = [f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">']
    for box in answer.boxes:
        x0, y0, x1, y1 = (round(side * unit, 1) for side, unit in zip(box.corners, (width, height) * 2, strict=True))
        colour = PALETTE[classes.index(box.label) % len(PALETTE)]
        text = f"{box.label} {box.score:.2f}"
        wide, top = 6.9 * len(text) + 6, y0 if y0 < 16 else y0 - 16
        left = min(x0, max(width - wide, 0))
        parts.append(
            f'<rect x="{x0}" y="{y0}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" style="stroke: {colour}"/>'
            f'<rect class="tag" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="16" style="fill: {colour}"/>'
            f'<text x="{left + 3:.1f}" y="{top + 12:.1f}">{escape(text)}</text>'
        )
    return Markup("".join([*parts, "</svg>"]))
