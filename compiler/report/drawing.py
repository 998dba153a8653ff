"""`write_drawing`: lines and text as a picture file, SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from edgec.errors import BadOption
from edgec.whole_file import whole_file, write_text

XY = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line through points, in pixels."""

    points: tuple[XY, ...]
    colour: str
    width: int = 2


@dataclass(frozen=True)
class Text:
    """Text whose upper left corner is `at`."""

    at: XY
    text: str
    colour: str = "#222222"


def write_drawing(shapes: Sequence[Line | Text], size: tuple[int, int], path: Path) -> None:
    """Write a picture of `size` pixels to `path`.

    Raises:
        BadOption: The suffix is neither .svg nor .png, or the path cannot be written.
    """
    if path.suffix == ".svg":
        write_text(path, _svg(shapes, size))
    elif path.suffix == ".png":
        with whole_file(path) as staged:
            _png(shapes, size).save(staged, "PNG")
    else:
        raise BadOption(f"{path}: curves are drawn as .svg or .png")


def _svg(shapes: Sequence[Line | Text], size: tuple[int, int]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for shape in shapes:
        if isinstance(shape, Line):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
            style = f'fill="none" stroke="{shape.colour}" stroke-width="{shape.width}"'
            lines.append(f'<polyline points="{points}" {style}/>')
        else:
            x, y = shape.at
            lines.append(f'<text x="{x:.1f}" y="{y + 10:.1f}" fill="{shape.colour}">{escape(shape.text)}</text>')
    return "\n".join([*lines, "</svg>\n"])


def _png(shapes: Sequence[Line | Text], size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        if isinstance(shape, Line):
            pen.line(list(shape.points), fill=shape.colour, width=shape.width)
        else:
            pen.text(shape.at, shape.text, fill=shape.colour)
    return picture
