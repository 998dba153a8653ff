"""`Mask`: the class of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageColor

from edgec.application.results.base import Result, colour_of
from edgec.application.results.run_lengths import run_lengths
from edgec.data.labels import IGNORED

OPACITY = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Result):
    """A class for each pixel.

    Attributes:
        classes: Integers [height, width]; `IGNORED` (255) where the network does not see the picture.
        present: Numbers of the classes that occur, the most frequent first.
        names: Their names.
        shares: Their fractions of the pixels that the network sees.
    """

    kind: ClassVar[str] = "mask"

    classes: np.ndarray[Any, Any]
    present: tuple[int, ...]
    names: tuple[str, ...]
    shares: tuple[float, ...]

    def of(self, label: int) -> np.ndarray[Any, Any]:
        """Return the mask of class `label`: bool [height, width]."""
        result: np.ndarray[Any, Any] = self.classes == label
        return result

    def _fields(self) -> dict[str, Any]:
        rows = zip(self.present, self.names, self.shares, strict=True)
        return {
            "classes": [
                {"class": label, "name": name, "share": round(share, 6), "rle": run_lengths(self.of(label))}
                for label, name, share in rows
            ]
        }

    def _summary(self) -> str:
        shown = ", ".join(f"{name} {share:.1%}" for name, share in zip(self.names, self.shares, strict=True))
        return f"{self.size[0]}x{self.size[1]}: {shown}"

    def _draw(self, canvas: Image.Image) -> Image.Image:
        pixels = np.asarray(canvas).astype(np.float32)
        for label in self.present:
            colour = np.array(ImageColor.getrgb(colour_of(label)), np.float32)
            here = self.of(label) & (self.classes != IGNORED)
            pixels[here] = (1 - OPACITY) * pixels[here] + OPACITY * colour
        return Image.fromarray(np.rint(pixels).astype(np.uint8))
