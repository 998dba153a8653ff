"""Labels of a sample: its class, its boxes, its text or its segmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

IGNORED = 255
"""Class of a mask's pixels that metrics ignore."""


@dataclass(frozen=True)
class ClassLabel:
    """The picture as a whole has class `index`."""

    index: int


@dataclass(frozen=True)
class Text:
    """The picture shows this text."""

    text: str


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects in a picture.

    Attributes:
        boxes: float64 [n, 4], x0 y0 x1 y1 in pixels of the original picture, rotated as its EXIF orientation says.
        classes: int64 [n].
        ignored: bool [n]: crowds and objects marked as difficult; metrics neither expect nor punish finding them.
        areas: float64 [n] in pixels (of the object if its outline is known, else of the box).
        relative: Whether the boxes are fractions of the picture's width and height, until `absolute` is called.
        outlines: The polygons or run lengths of each object as COCO writes them, in pixels; None if it has none. Empty
            if no object has any.
        points: float64 [n, points, 3] key points: x, y in pixels, and 0 unknown, 1 hidden or 2 seen; None if no object
            has any.
    """

    boxes: Array
    classes: Array
    ignored: Array
    areas: Array
    relative: bool = False
    outlines: tuple[Any, ...] = ()
    points: Array | None = None

    @classmethod
    def of(cls, boxes: Any, classes: Any, *, ignored: Any = None, areas: Any = None, relative: bool = False) -> Boxes:
        """Make boxes from sequences; by default none is ignored and the areas are those of the boxes."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        kinds = np.asarray(classes, np.int64).reshape(-1)
        if len(corners) != len(kinds):
            raise ValueError(f"{len(corners)} boxes, {len(kinds)} classes")
        skipped = np.zeros(len(corners), bool) if ignored is None else np.asarray(ignored, bool)
        sizes = (corners[:, 2:] - corners[:, :2]).prod(axis=1) if areas is None else np.asarray(areas, np.float64)
        return cls(corners, kinds, skipped, sizes, relative)

    def absolute(self, size: tuple[int, int]) -> Boxes:
        """Return the boxes in pixels of a picture of `size` (width, height)."""
        if not self.relative:
            return self
        scale = np.array([*size, *size], np.float64)
        return replace(self, boxes=self.boxes * scale, areas=self.areas * (size[0] * size[1]), relative=False)


@dataclass(frozen=True, eq=False)
class Mask:
    """The class of each pixel: integers [height, width]; pixels with `IGNORED` or a negative value are ignored."""

    classes: Array


Label = ClassLabel | Text | Boxes | Mask
