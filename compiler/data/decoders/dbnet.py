"""DBNet text detection (PP-OCR det): a map of text probability, its connected regions, rectangles around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Outputs, check_shape, pick
from edgec.data.decoders.detections import DetectionDecoder, Detections
from edgec.data.decoders.regions import hull, regions, smallest_rectangle

Array = np.ndarray[Any, Any]

MIN_SIDE = 3.0  # minimum side of a region's rectangle, in cells of the map
MIN_GROWN_SIDE = 5.0  # the same after unclipping


class Dbnet(DetectionDecoder):
    """Text probability [1, 1, h, w] -> the upright boxes around the text lines, one class.

    For each 8-connected region above `threshold` (Liao et al., "Real-time Scene Text Detection with Differentiable
    Binarization", 2020; PaddleOCR's DBPostProcess): the rectangle of smallest area around its cells; its score is the
    mean probability within; it grows by area * `unclip_ratio` / perimeter on every side, as the network was trained
    on shrunken text. Growing is exact for rectangles, so no polygon library is needed. The result is the upright box
    around the rectangle, because box metrics compare those; `text_rectangles` returns the rectangles themselves. Holes
    in a region, for which OpenCV's contours give further, low-scored rectangles, are ignored.
    """

    output: str | None = None
    """Name of the output; default: the first."""
    threshold: float = Field(default=0.3, gt=0, lt=1)
    """Minimum probability of a text cell."""
    unclip_ratio: float = Field(default=1.6, ge=0)
    min_score: float = Field(default=0.5, ge=0, le=1)
    max_overlap: float = Field(default=1.0, ge=0, le=1)
    max_detections: int = Field(default=1000, ge=1)

    def candidates(self, outputs: Outputs, size: tuple[int, int]) -> Detections:
        """See `DetectionDecoder.candidates`."""
        probability = check_shape(pick(outputs, self.output), "[1, 1, h, w]", "dbnet")[0]
        rectangles, scores = text_rectangles(probability, self.threshold, self.unclip_ratio, self.min_score)
        boxes = np.concatenate([rectangles.min(axis=1), rectangles.max(axis=1)], axis=1)
        pixels = np.array([size[0] / probability.shape[1], size[1] / probability.shape[0]] * 2, np.float32)
        return Detections(boxes * pixels, scores, np.zeros(len(scores), np.int64))


def text_rectangles(probability: Array, threshold: float, unclip_ratio: float, min_score: float) -> tuple[Array, Array]:
    """Return the grown rectangles around the regions of text.

    Args:
        probability: float [h, w].
        threshold: Minimum probability of text.
        unclip_ratio: Growth of a rectangle, see `Dbnet`.
        min_score: Minimum mean probability within a rectangle.

    Returns:
        float32 [n, 4, 2] corners x, y in cells, in circular order, and float32 [n] scores.
    """
    rectangles, scores = [], []
    for rows, columns in regions(probability > threshold):
        corners = smallest_rectangle(hull(np.stack([columns, rows], axis=1)))
        width, height = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])
        if min(width, height) < MIN_SIDE:
            continue
        score = _mean_within(probability, corners)
        growth = width * height * unclip_ratio / (2 * (width + height))
        if score < min_score or min(width, height) + 2 * growth < MIN_GROWN_SIDE:
            continue
        rectangles.append(_grown(corners, float(growth)))
        scores.append(score)
    return np.array(rectangles, np.float32).reshape(-1, 4, 2), np.array(scores, np.float32)


def _mean_within(probability: Array, corners: Array) -> float:
    """Return the mean over the cells whose centre lies in the rectangle, including its border."""
    limit = np.array(probability.shape[::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)).astype(np.int64), 0, limit)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(np.int64), 0, limit)
    window = probability[low[1] : high[1] + 1, low[0] : high[0] + 1]
    ys, xs = np.meshgrid(np.arange(low[1], high[1] + 1), np.arange(low[0], high[0] + 1), indexing="ij")
    points = np.stack([xs, ys], axis=-1) - corners[0]
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    inside = np.ones(window.shape, bool)
    for side in (along, across):
        share = points @ side / (side @ side)
        inside &= (share > -1e-6) & (share < 1 + 1e-6)
    return float(window[inside].mean(dtype=np.float64))


def _grown(corners: Array, growth: float) -> Array:
    """Move every side of a rectangle outwards by `growth`."""
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    along, across = along / np.linalg.norm(along) * growth, across / np.linalg.norm(across) * growth
    grown: Array = corners + np.stack([-along - across, along - across, along + across, across - along])
    return grown
