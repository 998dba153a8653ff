"""`write_front`: a front as JSON, a table, a drawing and a page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from edgec import __version__
from edgec.compress.front import Front
from edgec.report.drawing import XY, Line, Text, write_drawing
from edgec.report.template import fill
from edgec.whole_file import write_text

PLOT = (80, 40, 640, 400)
"""Left, top, right and bottom of the axes, in pixels."""
SIZE = (760, 460)
TICKS = 5
COLOURS = {"fp32": "#1f77b4", "fp16": "#2ca02c", "int8": "#d62728"}
GREY = "#888888"
DOT = 4
NAMES = 2
"""Number of columns with words."""
SHOWN_LOSS = 4.0
"""Losses above this multiple of the median one are drawn at the upper edge: a ruined network would flatten the rest."""


def write_front(front: Front, folder: Path) -> None:
    """Write front.json, front.md, front.html and front.svg into `folder`; raises BadOption if that fails."""
    head, rows = front.table(str(folder))
    lines = [head, ["---"] * NAMES + ["---:"] * (len(head) - NAMES), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    write_text(folder / "front.md", "\n\n".join([table, *front.notes()]) + "\n")
    drawing = folder / "front.svg"
    write_drawing(list(_shapes(front)), SIZE, drawing)
    page = fill(
        "table.html.j2",
        title=f"{Path(front.model).stem} on {front.options['target']}: accuracy against time",
        subtitle=f"edgec {__version__}",
        drawing=Markup(drawing.read_text(encoding="utf-8")),
        head=head,
        rows=rows,
        names=NAMES,
        notes=front.notes(),
        notes_title="Notes",
    )
    write_text(folder / "front.html", page)
    front.save(folder)


def _shapes(front: Front) -> Iterator[Line | Text]:
    left, top, right, bottom = PLOT
    losses = sorted(max(point.loss, 0.0) for point in front.points if math.isfinite(point.loss))
    middle = losses[len(losses) // 2] if losses else 0.0
    highest = min(losses[-1], SHOWN_LOSS * middle) if middle else (losses or [0.0])[-1]
    highest = highest or 1.0
    longest = max((point.milliseconds for point in front.points), default=1.0) or 1.0

    def at(ms: float, loss: float) -> XY:
        inside = min(max(loss, 0.0) / highest, 1.0)
        return left + ms / longest * (right - left), bottom - inside * (bottom - top)

    for step in range(TICKS + 1):
        share = step / TICKS
        yield Line((at(share * longest, 0), at(share * longest, highest)), "#dddddd", 1)
        yield Line((at(0, share * highest), at(longest, share * highest)), "#dddddd", 1)
        yield Text((at(share * longest, 0)[0] - 12, bottom + 8), f"{share * longest:.3g}")
        yield Text((8, at(0, share * highest)[1] - 6), f"{share * highest:.4g}")
    yield Line(((left, top), (left, bottom), (right, bottom)), GREY, 1)
    yield Text((left, 14), f"loss of {front.metric} on {front.held_out} held-out samples (whole: {front.before:.4g})")
    yield Text(((left + right) / 2 - 80, bottom + 30), "ms of an inference, estimated for the board")
    yield Line(tuple(at(point.milliseconds, point.loss) for point in front.best), GREY, 1)
    for number, point in enumerate(front.points, 1):
        x, y = at(point.milliseconds, point.loss if math.isfinite(point.loss) else highest)
        square = ((x - DOT, y - DOT), (x + DOT, y - DOT), (x + DOT, y + DOT), (x - DOT, y + DOT), (x - DOT, y - DOT))
        colour = COLOURS.get(point.precision, GREY)
        yield Line(square, colour)
        yield Text((x + DOT + 3, y - 13), str(number), colour)
    for place, precision in enumerate(dict.fromkeys(point.precision for point in front.points)):
        yield Text((right + 20, top + 16 * place), precision, COLOURS.get(precision, GREY))
