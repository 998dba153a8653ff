"""`Result`: what a network finds in one picture; it can be drawn, printed and written as JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image, ImageDraw, ImageFont

from edgec.data.any_picture import AnyPicture, as_picture
from edgec.errors import BadOption

COLOURS = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6")
DIGITS = 6
"""Number of significant digits of numbers in JSON: float32 has no more."""


@dataclass(frozen=True, eq=False, repr=False)
class Result(ABC):
    """What a network finds in one picture.

    Attributes:
        size: Width and height of the picture in pixels, rotated as its EXIF orientation says.
    """

    kind: ClassVar[str]

    size: tuple[int, int]

    def draw(self, picture: AnyPicture) -> Image.Image:
        """Return a copy of the picture, in RGB, with the result drawn onto it.

        Raises:
            BadOption: The picture cannot be read, or its size differs from that of the picture that was predicted on.
        """
        canvas = as_picture(picture).convert("RGB")
        if canvas.size != self.size:
            sizes = f"{canvas.width}x{canvas.height}, but the result belongs to one of {self.size[0]}x{self.size[1]}"
            raise BadOption(f"draw: the picture is {sizes}", remedy="Give the picture that was predicted on.")
        return self._draw(canvas)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can store: `kind`, `width` and `height`, and the result's own keys."""
        return {"kind": self.kind, "width": self.size[0], "height": self.size[1], **self._fields()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._summary()}>"

    @abstractmethod
    def _draw(self, canvas: Image.Image) -> Image.Image:
        """Return `canvas`, an RGB picture of `size` that may be modified, with the result drawn onto it."""

    @abstractmethod
    def _fields(self) -> dict[str, Any]:
        """Return the fields of this kind of result, as values that JSON can store."""

    @abstractmethod
    def _summary(self) -> str:
        """Return the result in a few words."""


def number(value: Any) -> float:
    """Return a number without digits that float32 does not have."""
    return float(f"{float(value):.{DIGITS}g}")


def rounded(values: Any, digits: int = 2) -> list[float]:
    """Return coordinates in pixels with `digits` decimals."""
    return [round(float(value), digits) for value in values]


def colour_of(label: int) -> str:
    """Return the colour in which a class is drawn."""
    return COLOURS[label % len(COLOURS)]


def line_width(size: tuple[int, int]) -> int:
    """Return the line width for a picture of `size`."""
    return max(1, round(max(size) / 400))


def caption(
    pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: str, size: tuple[int, int]
) -> None:
    """Write `text` on a box of `colour` with the lower left corner `corner`, moved into the picture if necessary."""
    font = ImageFont.load_default(max(10, round(max(size) / 50)))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = min(max(0.0, corner[0]), max(0.0, size[0] - width))
    y = min(max(0.0, corner[1] - height), max(0.0, size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill="black", font=font)
