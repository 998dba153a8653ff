"""`Text`: the text in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image, ImageDraw

from edgec.application.results.base import COLOURS, Result, caption


@dataclass(frozen=True, eq=False, repr=False)
class Text(Result):
    """The text of a picture that shows one line."""

    kind: ClassVar[str] = "text"

    text: str

    def __str__(self) -> str:
        return self.text

    def _fields(self) -> dict[str, Any]:
        return {"text": self.text}

    def _summary(self) -> str:
        return repr(self.text)

    def _draw(self, canvas: Image.Image) -> Image.Image:
        printable = self.text.encode("latin-1", "replace").decode("latin-1")  # Pillow's default font has no others
        caption(ImageDraw.Draw(canvas), (0, 0), printable, COLOURS[0], self.size)
        return canvas
