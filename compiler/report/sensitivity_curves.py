"""`draw_curves`: draws a sensitivity report, loss over ratio, one line per group, as SVG or PNG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from edgec.compress.sensitivity_report import SensitivityReport
from edgec.report.drawing import XY, Line, Text, write_drawing

PLOT = (80, 40, 640, 440)
"""Left, top, right and bottom of the axes, in pixels."""
ROW = 15
"""Distance between lines of the legend, in pixels."""
COLUMN_ROWS = 28
COLUMN_WIDTH = 250
TICKS = 5
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
GREY = "#888888"


def draw_curves(report: SensitivityReport, path: Path) -> None:
    """Write the curves to `path`.

    Raises:
        BadOption: The suffix is neither .svg nor .png, or the path cannot be written.
    """
    columns = -(-len(report.groups) // COLUMN_ROWS)
    size = (PLOT[2] + 30 + COLUMN_WIDTH * columns, PLOT[3] + 60)
    shapes = list(_shapes(report))
    write_drawing(shapes, size, path)


def _shapes(report: SensitivityReport) -> Iterator[Line | Text]:
    left, top, right, bottom = PLOT
    losses = [max(loss, 0.0) for group in report.groups.values() for loss in group.losses if math.isfinite(loss)]
    highest = max(losses, default=0.0) or 1.0

    def at(ratio: float, loss: float) -> XY:
        return left + ratio * (right - left), bottom - max(loss, 0.0) / highest * (bottom - top)

    for step in range(TICKS + 1):
        share = step / TICKS
        yield Line((at(share, 0), at(share, highest)), "#dddddd", 1)
        yield Line((at(0, share * highest), at(1, share * highest)), "#dddddd", 1)
        yield Text((at(share, 0)[0] - 8, bottom + 8), f"{share:.1f}")
        yield Text((8, at(0, share * highest)[1] - 6), f"{share * highest:.4g}")
    yield Line(((left, top), (left, bottom), (right, bottom)), GREY, 1)
    yield Text((left, 14), f"loss of {report.metric} (whole: {report.baseline:.4g}), {report.criterion}")
    yield Text(((left + right) / 2 - 60, bottom + 30), "fraction of the channels removed")
    for number, (name, group) in enumerate(report.groups.items()):
        colour = COLOURS[number % len(COLOURS)]
        seen = takewhile(lambda pair: math.isfinite(pair[1]), zip(group.ratios, group.losses, strict=True))
        yield Line((at(0, 0), *(at(ratio, loss) for ratio, loss in seen)), colour)
        x = right + 20 + COLUMN_WIDTH * (number // COLUMN_ROWS)
        y = top + ROW * (number % COLUMN_ROWS)
        yield Line(((x, y + 6), (x + 16, y + 6)), colour)
        yield Text((x + 22, y), name[-34:])
