"""YOLOv8-seg and its successors: boxes with masks, which are sums of prototypes."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from edgec.data.decoders.base import Kind, Outputs, check_shape, network_size, pick
from edgec.data.decoders.columns import ColumnsDecoder
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]


class Patch(NamedTuple):
    """Mask of an object within its box: bool [h, w] `pixels`, with the upper left corner `x`, `y` in the picture."""

    x: int
    y: int
    pixels: Array


class Instances(NamedTuple):
    """Objects like `Detections`, each with its mask."""

    boxes: Array
    scores: Array
    labels: Array
    patches: tuple[Patch, ...]


class Yolov8Seg(ColumnsDecoder):
    """[1, 4 + classes + masks, n] like yolov8 with coefficients, and prototypes [1, masks, h, w] of the whole input.

    The mask of a box contains the pixels in the box where the sum of the prototypes, weighted by its coefficients, is
    positive, that is the probability is above 0.5. Each pixel of the original picture gets the value at its centre,
    interpolated linearly between the centres of the prototypes' cells (Ultralytics, utils/ops.py, process_mask, which
    rounds the box to cells first).
    """

    kind: ClassVar[Kind] = "instances"

    prototypes: str | None = None
    """Name of the output with the prototypes; default: the second."""
    masks: int = Field(default=32, ge=1)
    """Number of prototypes, and of coefficients of a box."""

    @property
    def further(self) -> int:
        """See `ColumnsDecoder.further`."""
        return self.masks

    def __call__(self, outputs: Outputs, sample: Sample) -> Any:
        """Return the `Instances`, best first, in pixels of the original picture."""
        size = network_size(sample, "yolov8-seg")
        prototypes = check_shape(pick(outputs, self.prototypes, 1), "[1, masks, h, w]", "yolov8-seg")
        if len(prototypes) != self.masks:
            problem = f"decoder yolov8-seg: {len(prototypes)} prototypes, but masks={self.masks}"
            raise BadOption(problem, remedy="Give their number as masks=N.")
        candidates, more = self.candidates_and_more(outputs)
        found, kept = self.select(candidates, size)
        placed = self.place(found, sample)
        placement = sample.placement or Placement.identity(size)
        patches = [_patch(prototypes, more[k], box, placement) for k, box in zip(kept, placed.boxes, strict=True)]
        return Instances(*placed, tuple(patches))


def _patch(prototypes: Array, coefficients: Array, box: Array, placement: Placement) -> Patch:
    """Return the mask of a box in pixels of the original picture."""
    x0, y0 = (int(np.floor(side + 0.5)) for side in box[:2])  # pixels whose centre lies in the box
    x1, y1 = (int(np.floor(side + 0.5)) for side in box[2:])
    cells = prototypes.shape[:0:-1]  # width, height
    (left, right, across), (top, bottom, down) = (
        _between(np.arange(start, stop), axis, cells[axis], placement)
        for axis, (start, stop) in enumerate(((x0, x1), (y0, y1)))
    )
    if not left.size or not top.size:
        return Patch(x0, y0, np.zeros((top.size, left.size), bool))
    window = np.s_[:, top.min() : bottom.max() + 1, left.min() : right.max() + 1]
    logits = np.tensordot(coefficients.astype(np.float32), prototypes[window].astype(np.float32), axes=1)
    left, right, top, bottom = (
        left - window[2].start,
        right - window[2].start,
        top - window[1].start,
        bottom - window[1].start,
    )
    rows = logits[top] * (1 - down)[:, None] + logits[bottom] * down[:, None]
    return Patch(x0, y0, rows[:, left] * (1 - across) + rows[:, right] * across > 0)


def _between(pixels: Array, axis: int, cells: int, placement: Placement) -> tuple[Array, Array, Array]:
    """Return the cells on both sides of the centres of `pixels`, and their distance from the first one, 0..1."""
    at = ((pixels + 0.5) * placement.scale[axis] + placement.offset[axis]) * (cells / placement.network[axis]) - 0.5
    at = np.clip(at, 0, cells - 1)
    first = np.floor(at).astype(np.int64)
    return first, np.minimum(first + 1, cells - 1), (at - first).astype(np.float32)
