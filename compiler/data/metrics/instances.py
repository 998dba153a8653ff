"""COCO's mean average precision of masks and of key points, by the faster-coco-eval library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from edgec.data.decoders.base import Kind
from edgec.data.labels import Boxes
from edgec.data.metrics.detection import MeanAveragePrecision
from edgec.data.samples import Sample
from edgec.errors import BadOption

COCO_POINTS = 17


class MaskAveragePrecision(MeanAveragePrecision):
    """COCO mAP, 0..1, as `MeanAveragePrecision`, where the IoU is that of masks (`segm`)."""

    name = "map-masks"
    _iou = "segm"
    _kind: Kind = "instances"
    _summary: ClassVar[Mapping[str, int]] = {
        "map-masks": 0,
        "map50": 1,
        "map75": 2,
        "small": 3,
        "medium": 4,
        "large": 5,
    }

    def _check_label(self, truth: Boxes, sample: Sample) -> None:
        if len(truth.boxes) and (not truth.outlines or not all(truth.outlines)):
            raise BadOption(f"metric {self.name}: {sample.name} has objects without outlines", remedy=NEEDS)

    def _annotations(self, boxes: Boxes) -> list[dict[str, Any]]:
        rows = super()._annotations(boxes)
        return [row | {"segmentation": outline} for row, outline in zip(rows, boxes.outlines, strict=True)]

    def _nowhere(self) -> dict[str, Any]:
        width, height = self._sizes[0]
        return {"segmentation": _encoded(np.zeros((height, width), np.uint8))}

    def _results(self, found: Any, sample: Sample) -> list[dict[str, Any]]:
        rows = []
        for row, patch in zip(super()._results(found, sample), found.patches, strict=True):
            width, height = sample.placement.original if sample.placement else (0, 0)
            mask = np.zeros((height, width), np.uint8)
            mask[patch.y : patch.y + patch.pixels.shape[0], patch.x : patch.x + patch.pixels.shape[1]] = patch.pixels
            rows.append({key: row[key] for key in ("category_id", "score")} | {"segmentation": _encoded(mask)})
        return rows


class KeypointAveragePrecision(MeanAveragePrecision):
    """COCO mAP, 0..1, of key points: the IoU's place is taken by the object keypoint similarity (OKS).

    At most 20 objects a picture. Of 17 points, COCO's own tolerances count; of others, one over their number each.
    """

    name = "map-keypoints"
    _iou = "keypoints"
    _kind: Kind = "keypoints"
    _summary: ClassVar[Mapping[str, int]] = {"map-keypoints": 0, "map50": 1, "map75": 2, "medium": 3, "large": 4}

    def _check_label(self, truth: Boxes, sample: Sample) -> None:
        if len(truth.boxes) and truth.points is None:
            raise BadOption(f"metric {self.name}: the objects of {sample.name} have no key points", remedy=NEEDS)

    def _annotations(self, boxes: Boxes) -> list[dict[str, Any]]:
        points = np.zeros((0, 0, 3)) if boxes.points is None else boxes.points
        return [
            row | {"keypoints": each.ravel().tolist(), "num_keypoints": int((each[:, 2] > 0).sum())}
            for row, each in zip(super()._annotations(boxes), points, strict=True)
        ]

    def _prepare(self, run: Any) -> None:
        counts = {boxes.points.shape[1] for boxes in self._truth if boxes.points is not None}
        counts |= {len(row["keypoints"]) // 3 for rows in self._found for row in rows}
        if len(counts) > 1:
            problem = f"metric {self.name}: some objects have {min(counts)} key points, others {max(counts)}"
            raise BadOption(problem, remedy="Give as many as the network has, in its order.")
        (count,) = counts
        if count != COCO_POINTS:
            run.params.kpt_oks_sigmas = np.full(count, 1 / count)

    def _nowhere(self) -> dict[str, Any]:
        (count, *_) = (boxes.points.shape[1] for boxes in self._truth if boxes.points is not None)
        return {"keypoints": [0.0] * (3 * count)}

    def _results(self, found: Any, sample: Sample) -> list[dict[str, Any]]:
        rows = zip(super()._results(found, sample), found.points, strict=True)
        return [
            {key: row[key] for key in ("category_id", "score")} | {"keypoints": points.astype(float).ravel().tolist()}
            for row, points in rows
        ]


NEEDS = "Give COCO annotations that have them (`segmentation`, `keypoints`)."


def _encoded(mask: np.ndarray[Any, Any]) -> Any:
    """Return a mask as the library's run lengths."""
    from faster_coco_eval.core import mask as run_lengths  # noqa: PLC0415

    return run_lengths.encode(np.asfortranarray(mask))
