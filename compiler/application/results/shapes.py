"""Objects with more than a box: masks, key points, rotated boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from edgec.application.results.base import colour_of, line_width, number, rounded
from edgec.application.results.detections import Detection, Detections
from edgec.application.results.run_lengths import run_lengths
from edgec.data.decoders.yolov8_seg import Patch

Array = np.ndarray[Any, Any]

COCO_POINTS = 17
LIMBS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""Pairs of COCO's key points of a person that are joined by a line."""
SEEN = 0.5
"""Minimum probability of key points that are drawn."""
OPACITY = 0.45


@dataclass(frozen=True, eq=False, repr=False)
class Instances(Detections):
    """Objects with their masks.

    Attributes:
        patches: For each object, the part of its mask that lies in its box.
    """

    kind: ClassVar[str] = "instances"

    patches: tuple[Patch, ...]

    def mask(self, index: int) -> Array:
        """Return the mask of an object: bool [height, width] of the picture."""
        mask = np.zeros(self.size[::-1], bool)
        x, y, pixels = self.patches[index]
        mask[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        return mask

    @property
    def masks(self) -> Array:
        """The masks of all objects: bool [n, height, width]."""
        return (
            np.stack([self.mask(k) for k in range(len(self))]) if len(self) else np.zeros((0, *self.size[::-1]), bool)
        )

    def _object(self, index: int, each: Detection) -> dict[str, Any]:
        return super()._object(index, each) | {"mask": run_lengths(self.mask(index))}

    def _draw(self, canvas: Image.Image) -> Image.Image:
        for index in reversed(range(len(self))):
            x, y, pixels = self.patches[index]
            if pixels.size:
                opacity = Image.fromarray((pixels * round(255 * OPACITY)).astype(np.uint8))
                canvas.paste(colour_of(index), (x, y), opacity)
        return super()._draw(canvas)


@dataclass(frozen=True, eq=False, repr=False)
class Keypoints(Detections):
    """Objects with their key points.

    Attributes:
        points: float32 [n, points, 3]: x, y in pixels of the picture, and the probability that it is visible, 0..1.
    """

    kind: ClassVar[str] = "keypoints"

    points: Array

    def _object(self, index: int, each: Detection) -> dict[str, Any]:
        points = [[*rounded(point[:2]), number(point[2])] for point in self.points[index]]
        return super()._object(index, each) | {"points": points}

    def _draw_one(self, pen: ImageDraw.ImageDraw, index: int) -> None:
        super()._draw_one(pen, index)
        points, wide = self.points[index], line_width(self.size)
        seen = points[:, 2] >= SEEN
        for one, other in LIMBS if len(points) == COCO_POINTS else ():
            if seen[one] and seen[other]:
                pen.line(
                    (*map(float, points[one, :2]), *map(float, points[other, :2])), fill=colour_of(one), width=wide
                )
        for place, (x, y, _) in enumerate(points.tolist()):
            if seen[place]:
                pen.ellipse((x - 2 * wide, y - 2 * wide, x + 2 * wide, y + 2 * wide), fill=colour_of(place))


@dataclass(frozen=True, eq=False, repr=False)
class RotatedBoxes(Detections):
    """Objects with rotated boxes; `boxes` are the axis-aligned ones around them.

    Attributes:
        corners: float32 [n, 4, 2]: x, y in pixels of the picture, in circular order.
    """

    kind: ClassVar[str] = "rotated"

    corners: Array

    def _object(self, index: int, each: Detection) -> dict[str, Any]:
        return super()._object(index, each) | {"corners": [rounded(corner) for corner in self.corners[index]]}

    def _draw_one(self, pen: ImageDraw.ImageDraw, index: int) -> None:
        corners = [(float(x), float(y)) for x, y in self.corners[index]]
        colour = colour_of(int(self.classes[index]))
        pen.line([*corners, corners[0]], fill=colour, width=line_width(self.size), joint="curve")
