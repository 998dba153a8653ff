"""`Picture`: an output that is a picture itself: depth, super-resolution, matting."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from edgec.application.results.base import Result


@dataclass(frozen=True, eq=False, repr=False)
class Picture(Result):
    """A picture that the network computed.

    Attributes:
        pixels: float32 [height, width, 1 or 3], 0..1, in the size of the network's output.
    """

    kind: ClassVar[str] = "picture"

    pixels: np.ndarray[Any, Any]

    @property
    def image(self) -> Image.Image:
        """The picture with 8 bits per channel: grey, or RGB."""
        levels = np.rint(self.pixels * 255).astype(np.uint8)
        return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)

    def _fields(self) -> dict[str, Any]:
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        height, width, channels = self.pixels.shape
        png = base64.b64encode(buffer.getvalue()).decode("ascii")
        return {"made": {"width": width, "height": height, "channels": channels, "png": png}}

    def _summary(self) -> str:
        height, width, channels = self.pixels.shape
        mean = float(self.pixels.mean())
        return (
            f"{width}x{height}, {'grey' if channels == 1 else 'RGB'}, mean {mean:.3f}, of {self.size[0]}x{self.size[1]}"
        )

    def _draw(self, canvas: Image.Image) -> Image.Image:
        """Return the computed picture; it is resized to the size of the original unless it is larger."""
        made = self.image.convert("RGB")
        larger = made.width > canvas.width and made.height > canvas.height
        return made if larger else made.resize(canvas.size, Image.Resampling.BILINEAR)
