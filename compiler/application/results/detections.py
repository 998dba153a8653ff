"""`Detections`: objects in a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from edgec.application.results.base import Result, caption, colour_of, line_width, number, rounded

Array = np.ndarray[Any, Any]

SHOWN = 5
"""Number of objects that a repr names."""


class Detection(NamedTuple):
    """One object: its box x0, y0, x1, y1 in pixels, its score 0..1, number and name of its class."""

    box: tuple[float, float, float, float]
    score: float
    label: int
    name: str


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Result):
    """Objects, best first.

    Attributes:
        boxes: float32 [n, 4], x0 y0 x1 y1 in pixels of the picture.
        scores: float32 [n].
        classes: int64 [n], class numbers.
        names: Class names of the n objects; the class number as text if it has no name.
    """

    kind: ClassVar[str] = "detections"

    boxes: Array
    scores: Array
    classes: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for box, score, label, name in zip(self.boxes, self.scores, self.classes, self.names, strict=True):
            x0, y0, x1, y1 = map(float, box)
            yield Detection((x0, y0, x1, y1), float(score), int(label), name)

    def _fields(self) -> dict[str, Any]:
        return {"detections": [self._object(index, each) for index, each in enumerate(self)]}

    def _object(self, index: int, each: Detection) -> dict[str, Any]:
        """Return one object, as values that JSON can store."""
        return {"box": rounded(each.box), "score": number(each.score), "class": each.label, "name": each.name}

    def _summary(self) -> str:
        named = [f"{each.name} {each.score:.2f} [{' '.join(f'{side:.1f}' for side in each.box)}]" for each in self]
        more = f", and {len(self) - SHOWN} more" if len(self) > SHOWN else ""
        return f"{len(self)} in {self.size[0]}x{self.size[1]}: {', '.join(named[:SHOWN]) or 'none'}{more}"

    def _draw(self, canvas: Image.Image) -> Image.Image:
        pen = ImageDraw.Draw(canvas)
        for index in reversed(range(len(self))):  # the best ones are drawn last, on top
            self._draw_one(pen, index)
        for each in reversed(list(self)):
            caption(pen, (each.box[0], each.box[1]), f"{each.name} {each.score:.2f}", colour_of(each.label), self.size)
        return canvas

    def _draw_one(self, pen: ImageDraw.ImageDraw, index: int) -> None:
        """Draw the outline of one object."""
        x0, y0, x1, y1 = map(float, self.boxes[index])
        box = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))  # corners lie between pixels
        pen.rectangle(box, outline=colour_of(int(self.classes[index])), width=line_width(self.size))
