"""What is known to be true of a sample: its class, its boxes, its text or its segmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

IGNORED = 255
"""Class of a mask's pixels that no metric counts."""


@dataclass(frozen=True)
class ClassLabel:
    """The picture as a whole is of class `index`."""

    index: int


@dataclass(frozen=True)
class Text:
    """The picture shows `text`."""

    text: str


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects in a picture.

    Attributes:
        boxes: float64 [n, 4], x0 y0 x1 y1 in pixels of the original picture, turned as its EXIF orientation says.
        classes: int64 [n].
        ignored: bool [n]: crowds and objects marked as difficult, which are neither to be found nor wrong to find.
        areas: float64 [n] in pixels (of the object, where its outline is known, else of the box).
        relative: The boxes are shares of the picture's width and height instead, until `absolute` is called.
    """

    boxes: Array
    classes: Array
    ignored: Array
    areas: Array
    relative: bool = False

    @classmethod
    def of(cls, boxes: Any, classes: Any, *, ignored: Any = None, areas: Any = None, relative: bool = False) -> Boxes:
        """Build one from sequences; by default none is ignored and the areas are those of the boxes."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        kinds = np.asarray(classes, np.int64).reshape(-1)
        if len(corners) != len(kinds):
            raise ValueError(f"{len(corners)} boxes, {len(kinds)} classes")
        skipped = np.zeros(len(corners), bool) if ignored is None else np.asarray(ignored, bool)
        sizes = (corners[:, 2:] - corners[:, :2]).prod(axis=1) if areas is None else np.asarray(areas, np.float64)
        return cls(corners, kinds, skipped, sizes, relative)

    def absolute(self, size: tuple[int, int]) -> Boxes:
        """Return them in pixels of a picture of `size` (width, height)."""
        if not self.relative:
            return self
        scale = np.array([*size, *size], np.float64)
        return replace(self, boxes=self.boxes * scale, areas=self.areas * (size[0] * size[1]), relative=False)


@dataclass(frozen=True, eq=False)
class Mask:
    """The class of each pixel: integers [height, width], `IGNORED` or negative where it does not count."""

    classes: Array


Label = ClassLabel | Text | Boxes | Mask
