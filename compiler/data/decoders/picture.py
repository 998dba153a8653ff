"""Outputs that are pictures: depth, super-resolution, matting, saliency."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from edgec.data.decoders.base import REMEDY, Decoder, Kind, Outputs, pick
from edgec.data.samples import Sample
from edgec.errors import BadOption


class Picture(Decoder):
    """[1, channels, h, w] or [1, h, w] with 1 or 3 channels (or channels last) -> float32 [h, w, channels], 0..1.

    With `range=auto` the smallest value becomes 0 and the largest 1, for depth, which has no fixed range.
    """

    kind: ClassVar[Kind] = "picture"

    output: str | None = None
    """Name of the output; default: the first."""
    range: Literal["unit", "byte", "symmetric", "auto"] = "unit"
    """Range of the values: 0..1, 0..255, -1..1, or that of each output."""
    colour: Literal["rgb", "bgr"] = "rgb"

    def __call__(self, outputs: Outputs, sample: Sample) -> np.ndarray[Any, Any]:
        """Return the picture.

        Raises:
            BadOption: The output is not a picture.
        """
        output = pick(outputs, self.output)
        pixels = output[0] if output.ndim in (3, 4) and len(output) == 1 else output
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        elif pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
            pixels = pixels.transpose(1, 2, 0)
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
            problem = f"decoder picture: the output is {list(output.shape)}, not [1, 1 or 3, h, w]"
            raise BadOption(problem, remedy=REMEDY)
        scaled = self._scaled(pixels.astype(np.float32))
        return np.ascontiguousarray(scaled[..., ::-1] if self.colour == "bgr" else scaled)

    def _scaled(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        pixels = np.nan_to_num(pixels)
        if self.range == "auto":
            low, high = pixels.min(), pixels.max()
            pixels = (pixels - low) / (high - low if high > low else np.float32(1))
        elif self.range == "byte":
            pixels = pixels / np.float32(255)
        elif self.range == "symmetric":
            pixels = (pixels + 1) / np.float32(2)
        return np.clip(pixels, 0, 1)


class Depth(Picture):
    """Like `picture`, with the range of each output: the smallest value is drawn dark, the largest bright."""

    range: Literal["unit", "byte", "symmetric", "auto"] = "auto"
