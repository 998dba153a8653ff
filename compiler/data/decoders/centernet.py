"""CenterNet and similar networks: a heat map of centres, with sizes and sub-cell offsets."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Outputs, check_shape, pick, sigmoid
from edgec.data.decoders.detections import DetectionDecoder, Detections
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]


class Centernet(DetectionDecoder):
    """Heat map [1, classes, h, w], sizes [1, 2, h, w] and, if there is one, offsets [1, 2, h, w], in cells.

    A cell that is the maximum of its 3x3 neighbourhood is a centre; box = (cell + offset -+ size / 2) * input / map
    (Zhou et al., "Objects as Points", 2019). Selecting these peaks replaces non-maximum suppression.
    """

    heatmap: str | None = None
    """Name of the heat map; default: the first output."""
    sizes: str | None = None
    """Name of the sizes (w, h); default: the second output."""
    offsets: str | None = None
    """Name of the offsets (x, y); default: the third output, none if there are two."""
    logits: bool = False
    """The heat map contains logits, to which a sigmoid is applied."""
    max_overlap: float = Field(default=1.0, ge=0, le=1)

    def class_count(self, outputs: Outputs) -> int:
        """See `Decoder.class_count`."""
        return int(pick(outputs, self.heatmap).shape[1])

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        heat = check_shape(pick(outputs, self.heatmap), "[1, classes, h, w]", "centernet")
        sizes = check_shape(pick(outputs, self.sizes, 1), "[1, 2, h, w]", "centernet")
        offsets = np.zeros_like(sizes)
        if self.offsets is not None or len(outputs) > 2:
            offsets = check_shape(pick(outputs, self.offsets, 2), "[1, 2, h, w]", "centernet")
        if not heat.shape[1:] == sizes.shape[1:] == offsets.shape[1:]:
            raise BadOption(
                f"decoder centernet: maps of {heat.shape[1:]}, {sizes.shape[1:]}, {offsets.shape[1:]} cells"
            )
        heat = sigmoid(heat) if self.logits else heat
        label, row, column = np.nonzero((heat >= self.min_score) & (heat == _neighbourhood_max(heat)))
        centres = np.stack([column, row], axis=1) + offsets[:, row, column].T
        halves = sizes[:, row, column].T / 2
        pixels = np.array([size[0] / heat.shape[2], size[1] / heat.shape[1]], np.float32)
        boxes = np.concatenate([(centres - halves) * pixels, (centres + halves) * pixels], axis=1)
        return Detections(boxes.astype(np.float32), heat[label, row, column], label)


def _neighbourhood_max(heat: Array) -> Array:
    """Return the maximum over the 3x3 cells around each cell of [classes, h, w]."""
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    result: Array = windows.max(axis=(-2, -1))
    return result
