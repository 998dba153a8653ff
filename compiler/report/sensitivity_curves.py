"""`draw_curves`: draws a sensitivity report, loss over ratio, one line per group, as SVG or PNG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import takewhile
from pathlib import Path

from PIL import Image, ImageDraw

from edgec.compress.sensitivity_report import SensitivityReport
from edgec.errors import BadOption
from edgec.whole_file import whole_file, write_text

PLOT = (80, 40, 640, 440)
"""Left, top, right and bottom of the axes, in pixels."""
ROW = 15
"""Distance between lines of the legend, in pixels."""
COLUMN_ROWS = 28
COLUMN_WIDTH = 250
TICKS = 5
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
GREY = "#888888"

XY = tuple[float, float]


@dataclass(frozen=True)
class _Line:
    points: tuple[XY, ...]
    colour: str
    width: int = 2


@dataclass(frozen=True)
class _Text:
    at: XY
    text: str
    colour: str = "#222222"


def draw_curves(report: SensitivityReport, path: Path) -> None:
    """Write the curves to `path`.

    Raises:
        BadOption: The suffix is neither .svg nor .png, or the path cannot be written.
    """
    columns = -(-len(report.groups) // COLUMN_ROWS)
    size = (PLOT[2] + 30 + COLUMN_WIDTH * columns, PLOT[3] + 60)
    shapes = list(_shapes(report))
    if path.suffix == ".svg":
        write_text(path, _svg(shapes, size))
    elif path.suffix == ".png":
        with whole_file(path) as staged:
            _png(shapes, size).save(staged, "PNG")
    else:
        raise BadOption(f"{path}: curves are drawn as .svg or .png")


def _shapes(report: SensitivityReport) -> Iterator[_Line | _Text]:
    left, top, right, bottom = PLOT
    losses = [max(loss, 0.0) for group in report.groups.values() for loss in group.losses if math.isfinite(loss)]
    highest = max(losses, default=0.0) or 1.0

    def at(ratio: float, loss: float) -> XY:
        return left + ratio * (right - left), bottom - max(loss, 0.0) / highest * (bottom - top)

    for step in range(TICKS + 1):
        share = step / TICKS
        yield _Line((at(share, 0), at(share, highest)), "#dddddd", 1)
        yield _Line((at(0, share * highest), at(1, share * highest)), "#dddddd", 1)
        yield _Text((at(share, 0)[0] - 8, bottom + 8), f"{share:.1f}")
        yield _Text((8, at(0, share * highest)[1] - 6), f"{share * highest:.4g}")
    yield _Line(((left, top), (left, bottom), (right, bottom)), GREY, 1)
    yield _Text((left, 14), f"loss of {report.metric} (whole: {report.baseline:.4g}), {report.criterion}")
    yield _Text(((left + right) / 2 - 60, bottom + 30), "fraction of the channels removed")
    for number, (name, group) in enumerate(report.groups.items()):
        colour = COLOURS[number % len(COLOURS)]
        seen = takewhile(lambda pair: math.isfinite(pair[1]), zip(group.ratios, group.losses, strict=True))
        yield _Line((at(0, 0), *(at(ratio, loss) for ratio, loss in seen)), colour)
        x = right + 20 + COLUMN_WIDTH * (number // COLUMN_ROWS)
        y = top + ROW * (number % COLUMN_ROWS)
        yield _Line(((x, y + 6), (x + 16, y + 6)), colour)
        yield _Text((x + 22, y), name[-34:])


def _svg(shapes: list[_Line | _Text], size: tuple[int, int]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for shape in shapes:
        if isinstance(shape, _Line):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
            style = f'fill="none" stroke="{shape.colour}" stroke-width="{shape.width}"'
            lines.append(f'<polyline points="{points}" {style}/>')
        else:
            x, y = shape.at
            lines.append(f'<text x="{x:.1f}" y="{y + 10:.1f}" fill="{shape.colour}">{escape(shape.text)}</text>')
    return "\n".join([*lines, "</svg>\n"])


def _png(shapes: list[_Line | _Text], size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        if isinstance(shape, _Line):
            pen.line(list(shape.points), fill=shape.colour, width=shape.width)
        else:
            pen.text(shape.at, shape.text, fill=shape.colour)
    return picture
