"""Detection: COCO's mean average precision, computed by the faster-coco-eval library."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from edgec.data.decoders.base import Kind
from edgec.data.labels import Boxes
from edgec.data.metrics.base import Classes, MetricContext, MetricResult, Outputs, require_decoder, require_label
from edgec.data.samples import Sample
from edgec.errors import BadOption, MissingDependency
from edgec.extras import install

Array = np.ndarray[Any, Any]

ALL_AREAS = 0  # index into COCO's area ranges: all, small, medium, large
MOST_DETECTIONS = -1  # index into COCO's limits of detections per picture: 1, 10, 100
SUMMARY = {"map": 0, "map50": 1, "map75": 2, "small": 3, "medium": 4, "large": 5}
"""Part of the result -> index in COCO's summary."""


class MeanAveragePrecision:
    """COCO mAP, 0..1: precision averaged over recall 0, 0.01 ... 1, IoU 0.50, 0.55 ... 0.95 and the classes.

    Only classes with boxes count, and at most 100 detections of a class in a picture; finding an ignored box (crowd,
    difficult) is neither right nor wrong. Source: Lin et al., "Microsoft COCO", 2014, and the code published with
    it, which faster-coco-eval reimplements.
    """

    name = "map"
    _iou = "bbox"
    """What overlaps are computed of, as the library names it."""
    _kind: Kind = "detections"
    """What the decoder has to give."""
    _summary: ClassVar[Mapping[str, int]] = SUMMARY
    _threshold: int | None = None
    """Index of the only IoU that counts; None: the mean over all."""

    def __init__(self, context: MetricContext) -> None:
        _library()  # a missing library is reported before the first sample runs, not after the last
        self._decoder = require_decoder(context, self._kind, None, self.name)
        self._classes = Classes(context, self._decoder)
        self._truth: list[Boxes] = []
        self._found: list[list[dict[str, Any]]] = []
        self._sizes: list[tuple[int, int]] = []

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the detections for one sample labelled with `Boxes`."""
        truth = require_label(sample, Boxes, self.name)
        self._check_label(truth, sample)
        self._truth.append(replace(truth, classes=self._classes.number(truth.classes, sample)))
        self._found.append(self._results(self._decoder(outputs, sample), sample))
        self._sizes.append((0, 0) if sample.placement is None else sample.placement.original)

    def result(self) -> MetricResult:
        """Return the mean average precision, by class, IoU and size of object.

        Raises:
            BadOption: The data has no box, so that the metric is undefined.
        """
        if not any((~boxes.ignored).any() for boxes in self._truth):
            raise BadOption(f"metric {self.name}: the data has no boxes", remedy="Give data with labelled objects.")
        summary, precision, numbers = self._evaluate()
        if self._threshold is not None:
            precision = precision[self._threshold : self._threshold + 1]
        by_class = {self._classes.name(number): _mean(precision[:, :, k]) for k, number in enumerate(numbers)}
        details: dict[str, Any] = {key: float(summary[at]) for key, at in self._summary.items() if summary[at] >= 0}
        details["per class"] = {name: value for name, value in by_class.items() if value is not None}
        return MetricResult(details.pop(self.name), True, details)

    def _evaluate(self) -> tuple[Array, Array, list[int]]:
        """Return COCO's summary, precision [iou, recall, class] (-1: undefined), and the number of each class."""
        coco, evaluation = _library()
        annotations = [
            {"image_id": image, **row}
            for image, boxes in enumerate(self._truth, start=1)
            for row in self._annotations(boxes)
        ]
        numbers = sorted({row["category_id"] for row in annotations})
        document = {
            "images": [
                {"id": image, "width": width, "height": height}
                for image, (width, height) in enumerate(self._sizes, start=1)
            ],
            "categories": [{"id": number, "name": str(number)} for number in numbers],
            "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
        }
        results = [{"image_id": image, **row} for image, rows in enumerate(self._found, start=1) for row in rows]
        if not results:  # the library accepts no empty list; an empty detection of score 0 is equivalent
            results = [{"image_id": 1, "category_id": numbers[0], "score": 0.0, **self._nowhere()}]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco(document)
            run = evaluation(truth, truth.loadRes(results), iouType=self._iou)
            self._prepare(run)
            run.evaluate()
            run.accumulate()
            run.summarize()
        return np.asarray(run.stats), run.eval["precision"][..., ALL_AREAS, MOST_DETECTIONS], numbers

    def _check_label(self, truth: Boxes, sample: Sample) -> None:
        """Refuse a label that lacks what is compared."""

    def _prepare(self, run: Any) -> None:
        """Set what the library's evaluation needs besides."""

    def _nowhere(self) -> dict[str, Any]:
        """Return what is compared of a detection that overlaps nothing."""
        return {"bbox": [0.0, 0.0, 0.0, 0.0]}

    def _annotations(self, boxes: Boxes) -> list[dict[str, Any]]:
        """Return the objects of a label as COCO writes them."""
        rows = zip(boxes.boxes, boxes.classes.tolist(), boxes.ignored.tolist(), boxes.areas.tolist(), strict=True)
        return [
            {"category_id": number, "bbox": _xywh(box), "area": area, "iscrowd": int(ignored)}
            for box, number, ignored, area in rows
        ]

    def _results(self, found: Any, sample: Sample) -> list[dict[str, Any]]:
        """Return what was found as COCO writes it."""
        return [
            {"category_id": label, "bbox": _xywh(box), "score": score}
            for box, score, label in zip(found.boxes, found.scores.tolist(), found.labels.tolist(), strict=True)
        ]


class MeanAveragePrecision50(MeanAveragePrecision):
    """COCO mAP at IoU 0.5 alone, 0..1; otherwise like `MeanAveragePrecision`."""

    name = "map50"
    _threshold = 0


def _xywh(box: Array) -> list[float]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def _mean(precision: Array) -> float | None:
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None


def _library() -> tuple[Any, Any]:
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415
    except ImportError as error:
        remedy = install("eval")
        raise MissingDependency("faster-coco-eval is needed for mAP", remedy=remedy) from error
    return COCO, COCOeval_faster
