"""Heads of detectors that choose their boxes themselves: boxes, scores and classes as three outputs."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from edgec.application.recognition.head import Facts, Head

CHOICES = ("NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT", "BatchedNMSDynamic_TRT", "TopK")
"""Operators that choose boxes, the surest first."""
TENSORFLOW = "detection_boxes"
"""Name of the boxes in exports of TensorFlow's detectors, which have y before x, as fractions of the picture."""


def chosen_boxes(facts: Facts) -> Head | None:
    """Boxes [n, 4], scores [n] and classes [n], perhaps with a first axis of 1, and their number."""
    choice = next((each for each in CHOICES if each in facts.ops), None)
    boxes = [(value, shape) for value, shape in facts.outputs if shape[-1:] == (4,) and _of_one(shape[:-1])]
    if choice is None or len(boxes) != 1:
        return None
    ((box, shape),) = boxes
    rows = [value for value, sizes in facts.outputs if sizes == shape[:-1] and value is not box]
    labels = [value for value in rows if _is_integer(value)] or [value for value in rows if _named(value, "class")]
    scores = [value for value in rows if value not in labels]
    if len(labels) != 1 or len(scores) != 1:
        return None
    settings: dict[str, Any] = {"boxes": box.name, "scores": scores[0].name, "labels": labels[0].name}
    counts = [value for value, sizes in facts.outputs if value not in rows and sizes in ((1,), (1, 1), ())]
    if len(counts) == 1 and _named(counts[0], "num"):
        settings["count"] = counts[0].name
    others = [value.name or "" for value, _ in facts.outputs if value.name not in settings.values()]
    assumed = (f"the outputs {', '.join(others)} are not decoded",) if others else ()
    reason = f"boxes, scores and classes, chosen by {choice} in the graph"
    if _named(box, TENSORFLOW):
        settings |= {"shares": True, "rows_first": True}
        return Head("boxes", f"{reason}; y before x, as fractions of the picture, as TensorFlow names them", settings)
    corners = "the boxes are corners in pixels of the network's input, as in torchvision's detectors"
    return Head("boxes", reason, settings, {"resize": "letterbox"}, (corners, *assumed))


def _of_one(rows: tuple[int, ...]) -> bool:
    return len(rows) == 1 or (len(rows) == 2 and rows[0] == 1)


def _is_integer(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_integer()


def _named(value: ir.Value, part: str) -> bool:
    return part in (value.name or "").lower()
