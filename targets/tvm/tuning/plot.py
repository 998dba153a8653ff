"""`draw_gains`: the gain of tuning as SVG or PNG, with a pair of bars for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from edgec.errors import BadOption
from edgec.targets.tvm.tuning.task import Task
from edgec.whole_file import whole_file, write_text

WIDTH, NAMES, LINE, MARGIN = 980, 470, 30, 40
"""Sizes in pixels: width of the drawing, width of the layers' names, height of a layer, space above the first."""
BY_RULE, TUNED, INK = "#9aa5b1", "#1b7f4f", "#222222"
LONGEST_NAME = 74

Bar = tuple[float, float, float, float, str]
Text = tuple[float, float, str]


def draw_gains(tasks: Sequence[Task], path: Path) -> None:
    """Write the drawing of `tasks` to `path`.

    Raises:
        BadOption: The suffix is neither .svg nor .png, or the path cannot be written.
    """
    bars, texts = _shapes(tasks)
    size = (WIDTH, MARGIN + LINE * len(tasks) + 10)
    if path.suffix == ".svg":
        write_text(path, _svg(bars, texts, size))
    elif path.suffix == ".png":
        with whole_file(path) as staged:
            _png(bars, texts, size).save(staged, "PNG")
    else:
        raise BadOption(f"{path}: the drawing of gains must be .svg or .png")


def _shapes(tasks: Sequence[Task]) -> tuple[list[Bar], list[Text]]:
    longest = max((task.seconds for task in tasks), default=1.0) or 1.0
    scale = (WIDTH - NAMES - 120) / longest
    bars: list[Bar] = []
    texts: list[Text] = [(10, 12, "microseconds of each layer: untuned (grey), tuned (green)")]
    for place, task in enumerate(tasks):
        top, ratio = MARGIN + LINE * place, task.best[0]
        wide = task.seconds * scale
        bars += [(NAMES, top, wide, 10, BY_RULE), (NAMES, top + 11, wide * ratio, 10, TUNED)]
        texts.append((10, top + 4, task.workload.key[:LONGEST_NAME]))
        gain = f" {1 / ratio:.2f}x" if ratio < 1 else ""
        texts.append((NAMES + wide + 6, top + 4, f"{task.seconds * ratio * 1e6:.1f}{gain}"))
    return bars, texts


def _svg(bars: Sequence[Bar], texts: Sequence[Text], size: tuple[int, int]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    lines += [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}"/>'
        for x, y, wide, high, colour in bars
    ]
    lines += [f'<text x="{x:.1f}" y="{y + 10:.1f}" fill="{INK}">{escape(text)}</text>' for x, y, text in texts]
    return "\n".join([*lines, "</svg>\n"])


def _png(bars: Sequence[Bar], texts: Sequence[Text], size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for x, y, wide, high, colour in bars:
        pen.rectangle((x, y, x + wide, y + high), fill=colour)
    for x, y, text in texts:
        pen.text((x, y), text, fill=INK)
    return picture
