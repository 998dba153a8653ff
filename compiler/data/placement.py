"""`Placement`: the position of a picture in a network's input, so that results can be mapped back to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Placement:
    """Per axis, `network = original * scale + offset`, in pixels; pixel k covers the interval from k to k + 1.

    Sizes, scales and offsets are (width, height), that is x first.
    """

    original: tuple[int, int]
    network: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def identity(cls, size: tuple[int, int]) -> Placement:
        """Return the placement of an input of `size` (width, height) that is the picture itself."""
        return cls(size, size)

    def to_original(self, points: Array) -> Array:
        """Map float [..., 2] points x, y of the network's input to the original picture, clipped to it."""
        mapped: Array = np.clip(self.to_original_plane(points), 0, np.array(self.original, points.dtype))
        return mapped

    def to_original_plane(self, points: Array) -> Array:
        """Map float [..., 2] points x, y of the network's input to the original picture, without clipping."""
        scale, offset = np.array(self.scale, points.dtype), np.array(self.offset, points.dtype)
        mapped: Array = (points - offset) / scale
        return mapped

    def boxes_to_original(self, boxes: Array) -> Array:
        """Map float [n, 4] boxes x0 y0 x1 y1 of the network's input to the original picture, clipped to it."""
        return self.to_original(boxes.reshape(-1, 2)).reshape(-1, 4)

    def map_to_original(self, labels: Array, outside: int) -> Array:
        """Map an integer [h, w] map over the network's input to the original picture, [height, width].

        Each original pixel gets the value of the cell that contains its centre, or `outside` if the network
        does not see it (`resize=crop`).
        """
        columns = self._cells(0, labels.shape[1])
        rows = self._cells(1, labels.shape[0])
        mapped = labels[np.maximum(rows, 0)[:, None], np.maximum(columns, 0)[None, :]]
        mapped[rows < 0] = outside
        mapped[:, columns < 0] = outside
        return mapped

    def _cells(self, axis: int, cells: int) -> Array:
        """Return, for each original pixel along an axis, the index of its cell in the map; -1 outside."""
        centres = (np.arange(self.original[axis]) + 0.5) * self.scale[axis] + self.offset[axis]
        index = np.floor(centres * (cells / self.network[axis])).astype(np.int64)
        return np.where((index >= 0) & (index < cells), index, -1)
