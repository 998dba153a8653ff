"""Pictures and detections as COCO documents, ready for JSON."""

from collections.abc import Sequence

import numpy as np
from dataset import SIZE, Sample
from decode import Detections


def truth_document(samples: Sequence[Sample], classes: Sequence[str]) -> dict:
    """Return the samples as a COCO document."""
    annotations = [
        {"image_id": image, "category_id": int(label), "bbox": _xywh(box), "area": _area(box), "iscrowd": 0}
        for image, sample in enumerate(samples)
        for box, label in zip(sample.boxes, sample.labels, strict=True)
    ]
    return {
        "images": [
            {"id": image, "file_name": f"{image:06}.png", "height": SIZE, "width": SIZE}
            for image in range(len(samples))
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes)],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }


def results_document(detections: Sequence[Detections]) -> list[dict]:
    """Return the detections as COCO results."""
    return [
        {"image_id": image, "category_id": int(label), "bbox": _xywh(box), "score": float(score)}
        for image, found in enumerate(detections)
        for box, score, label in zip(*found, strict=True)
    ]


def _xywh(box: np.ndarray) -> list[float]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def _area(box: np.ndarray) -> float:
    return float((box[2:] - box[:2]).prod())
