"""`read_result`: turns what a decoder returns for one picture into the result that users see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgec.application.results.base import Result
from edgec.application.results.classification import Classification
from edgec.application.results.detections import Detections
from edgec.application.results.embedding import Embedding
from edgec.application.results.mask import Mask
from edgec.application.results.picture import Picture
from edgec.application.results.shapes import Instances, Keypoints, RotatedBoxes
from edgec.application.results.text import Text
from edgec.data.decoders.base import Decoder, Kind
from edgec.data.labels import IGNORED

Size = tuple[int, int]
Names = Callable[[Any], tuple[str, ...]]


def read_result(decoder: Decoder, said: Any, size: Size) -> Result:
    """Return what `decoder` returned for a picture of `size` (width, height) as a result."""
    return READERS[decoder.kind](said, size, _namer(decoder.classes))


def _namer(classes: Sequence[str]) -> Names:
    def names(numbers: Any) -> tuple[str, ...]:
        return tuple(classes[k] if 0 <= k < len(classes) else str(k) for k in np.asarray(numbers).tolist())

    return names


def _classification(scores: Any, size: Size, names: Names) -> Result:
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    return Classification(size, order, scores[order].astype(np.float32), names(order))


def _detections(said: Any, size: Size, names: Names) -> Result:
    return Detections(size, said.boxes, said.scores, said.labels, names(said.labels))


def _instances(said: Any, size: Size, names: Names) -> Result:
    return Instances(size, said.boxes, said.scores, said.labels, names(said.labels), said.patches)


def _keypoints(said: Any, size: Size, names: Names) -> Result:
    return Keypoints(size, said.boxes, said.scores, said.labels, names(said.labels), said.points)


def _rotated(said: Any, size: Size, names: Names) -> Result:
    return RotatedBoxes(size, said.boxes, said.scores, said.labels, names(said.labels), said.corners)


def _picture(said: Any, size: Size, names: Names) -> Result:
    return Picture(size, said)


def _embedding(said: Any, size: Size, names: Names) -> Result:
    return Embedding(size, said)


def _text(said: str, size: Size, names: Names) -> Result:
    return Text(size, said)


def _mask(classes: Any, size: Size, names: Names) -> Result:
    present, counts = np.unique(classes[classes != IGNORED], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shares = counts[order] / max(1, int(counts.sum()))
    return Mask(size, classes, tuple(present[order].tolist()), names(present[order]), tuple(shares.tolist()))


READERS: dict[Kind, Callable[[Any, Size, Names], Result]] = {
    "scores": _classification,
    "detections": _detections,
    "embedding": _embedding,
    "instances": _instances,
    "keypoints": _keypoints,
    "picture": _picture,
    "rotated": _rotated,
    "text": _text,
    "mask": _mask,
}
