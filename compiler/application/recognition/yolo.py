"""Heads of the YOLO family: boxes in rows or columns of one output, on grids of the usual strides."""

from __future__ import annotations

from typing import Any

from edgec.application.recognition.fields import between_ops, ends, fields, is_sigmoid
from edgec.application.recognition.head import Facts, Head, Hint
from edgec.model.graph import constant
from edgec.model.metadata import parsed

LETTERBOX = {"resize": "letterbox"}
ONE_TO_ONE_MOST = 1000
"""Maximum number of boxes of a one-to-one head; grids have more."""
BOXES_OF = "boxes {where}, on grids of strides {strides}"


def yolov8(facts: Facts) -> Head | None:
    """[1, 4 + classes (+ more), n]: decoded boxes, class scores, then mask coefficients, key points or an angle."""
    for output, shape in facts.outputs[:1]:
        if len(shape) != 3 or shape[0] != 1:
            return None
        strides = facts.strides_of(shape[2])
        parts = fields(output, 1)
        sizes = [part.size for part in parts]
        while len(sizes) > 2 and sizes[0] < 4 and sum(sizes[:2]) <= 4:  # centre and size, or corners, side by side
            sizes[:2] = [sum(sizes[:2])]
            parts = parts[1:]
        if strides is None or len(sizes) < 2 or sizes[0] != 4 or not is_sigmoid(parts[1].value):
            return None
        if between_ops(parts[0].value) <= {"Conv", "Concat", "Reshape", "Transpose"}:
            return None  # raw: the boxes were not decoded
        if "Softmax" not in facts.ops and not between_ops(parts[0].value) & {"Mul", "Sub", "Add"}:
            return None
        scale = _pixels(parts[0].value)
        if scale is False:
            return None
        reason = f"[4 + classes, n]: {BOXES_OF.format(where='in columns', strides=_text(strides))}, class probabilities"
        return _variant(facts, parts, sizes, reason)
    return None


def _variant(facts: Facts, parts: list[Any], sizes: list[int], reason: str) -> Head | None:
    """Return the head with what follows the classes: nothing, an angle, mask coefficients, or key points."""
    more = sizes[2:]
    common: dict[str, Any] = {"preprocess": LETTERBOX}
    count = len(facts.outputs)
    if not more and count == 1:
        return Head("yolov8", reason, **common)
    if count == 2 and sum(more) > 1:
        shape = facts.outputs[1][1]
        if len(shape) == 4 and shape[1] == sum(more):
            return Head(
                "yolov8-seg", f"{reason}, {sum(more)} coefficients of mask prototypes", {"masks": sum(more)}, **common
            )
    if count != 1:
        return None
    if sum(more) == 1:
        return Head("yolov8-obb", f"{reason}, an angle", **common)
    points = _points(facts, sum(more), parts[2:])
    if points is None:
        return None
    settings = {"points": points[0], "values": points[1]}
    return Head("yolov8-pose", f"{reason}, {points[0]} key points", settings, **common)


def _points(facts: Facts, size: int, parts: list[Any]) -> tuple[int, int] | None:
    """Return the number of key points and of values of each, 2 or 3."""
    said = parsed(facts.metadata.get("kpt_shape", ""))
    if isinstance(said, (list, tuple)) and len(said) == 2 and said[0] * said[1] == size:
        return int(said[0]), int(said[1])
    seen = any("Sigmoid" in between_ops(part.value) for part in parts)
    if size % 3 == 0 and seen:
        return size // 3, 3
    return (size // 2, 2) if size % 2 == 0 and not seen else None


def grids_in_rows(facts: Facts) -> Head | None:
    """[1, n, 5 + classes]: YOLOv5 and similar networks (decoded), or YOLOX (relative to the cells)."""
    if len(facts.outputs) < 1:
        return None
    output, shape = facts.outputs[0]
    # Older exports of YOLOv5 have the raw maps as further outputs.
    others_fit = all(len(other) in (4, 5) for _, other in facts.outputs[1:])
    if len(shape) != 3 or shape[0] != 1 or shape[2] < 6 or not others_fit:
        return None
    parts = fields(output, 2)
    sizes = [part.size for part in parts]
    single, triple = facts.strides_of(shape[1]), facts.strides_of(shape[1], 3)
    layout = f"[n, 5 + classes]: {BOXES_OF.format(where='in rows', strides=_text(single or triple or ()))}"
    if triple is not None and single is None and "Sigmoid" in _ops_of(parts):
        if sizes[:2] == [2, 2] and is_sigmoid(parts[-1].value):
            return Head("yolov5", f"{layout} with 3 anchors, objectness, class probabilities", preprocess=LETTERBOX)
        return None
    if single is None or len(facts.outputs) > 1:
        return None
    if sizes[:2] == [4, 1] and is_sigmoid(parts[1].value) and is_sigmoid(parts[-1].value):
        raw = not between_ops(parts[0].value) & {"Exp", "Mul", "Add", "Sigmoid", "Sub", "Div"}
        if raw:
            how = {"resize": "letterbox", "colour": "bgr", "scale": 1.0}
            reason = f"{layout}, relative to their cells, objectness, class probabilities"
            return Head("yolox", reason, {"strides": single}, how)
    if "Exp" in _ops_of(parts) and sizes[:2] in ([2, 2], [4, 1]) and is_sigmoid(parts[-1].value):
        how = {"resize": "letterbox", "colour": "bgr", "scale": 1.0}
        reason = f"{layout}, decoded in the graph, objectness, class probabilities, as YOLOX exports them"
        return Head("yolov5", reason, preprocess=how)
    return None


def one_to_one(facts: Facts) -> Head | None:
    """[1, n, 6]: corners, score, class, selected by TopK or by a non-maximum suppression inside the graph."""
    if len(facts.outputs) != 1:
        return None
    output, shape = facts.outputs[0]
    rows = shape[-2] if len(shape) in (2, 3) else 0
    if len(shape) not in (2, 3) or shape[-1] != 6 or (len(shape) == 3 and shape[0] != 1):
        return None
    if rows > ONE_TO_ONE_MOST or not facts.ops & {"TopK", "NonMaxSuppression"}:
        return None
    parts = fields(output, len(shape) - 1)
    sizes = [part.size for part in parts]
    if sizes == [6] and "NonMaxSuppression" in facts.ops and _suppressed_by_ultralytics(facts):
        reason = "[n, 6]: corners, score and class, suppressed in the graph, as the metadata says"
        return Head("boxes", reason, preprocess=LETTERBOX)
    if sizes != [4, 1, 1]:
        return None
    label = parts[2].value.dtype  # after the Cast to the type of the boxes
    if label is None or label.is_floating_point():
        return None
    if "Sigmoid" in ends(parts[0].value):
        reason = "[n, 6]: centre and size by a sigmoid, score and class of queries chosen by TopK (RT-DETR)"
        shares = {"centred": True, "shares": True}
        return Head("boxes", reason, shares) if ends(parts[0].value) == {"Sigmoid"} else None
    chosen = "TopK" if "TopK" in facts.ops else "NonMaxSuppression"
    return Head("boxes", f"[n, 6]: corners, score and class, chosen by {chosen} in the graph", preprocess=LETTERBOX)


def _suppressed_by_ultralytics(facts: Facts) -> bool:
    """Whether the model was exported with `nms=True`; ScatterND then assembles its boxes."""
    arguments = parsed(facts.metadata.get("args", ""))
    exported = isinstance(arguments, dict) and arguments.get("nms") is True
    return exported and facts.metadata.get("task") == "detect"


def yolov3(facts: Facts) -> Head | Hint | None:
    """Raw maps, one per stride, with anchors * (5 + classes) channels: the anchors are not in the graph."""
    if not 2 <= len(facts.outputs) <= 4:
        return None
    strides = []
    channels = {shape[1] for _, shape in facts.outputs if len(shape) == 4}
    if len(channels) != 1 or any(
        len(shape) != 4 or ends(value) & {"Sigmoid", "Softmax", "Relu", "Resize"} for value, shape in facts.outputs
    ):
        return None
    for _, shape in facts.outputs:
        stride = facts.size[0] // shape[3]
        if stride not in (4, 8, 16, 32, 64) or facts.size[1] // shape[2] != stride:
            return None
        strides.append(stride)
    channel = channels.pop()
    anchors = next((count for count in (3, 2, 5) if channel % count == 0 and channel // count >= 6), None)
    if anchors is None or len(set(strides)) != len(strides):
        return None
    text = (
        f"the outputs look like YOLOv3's raw maps ({anchors} anchors a cell, strides {_text(tuple(sorted(strides)))}), "
        "but the anchors are not in the model: give them in a record, --decoder FILE.json, see docs/evaluation.md"
    )
    return Hint(text)


def _ops_of(parts: list[Any]) -> frozenset[str]:
    return frozenset().union(*(between_ops(part.value) for part in parts))


def _pixels(value: Any) -> bool | None:
    """Return whether boxes are in pixels: False if they are scaled below 1, None if this cannot be seen."""
    node = value.producer()
    while node is not None and node.op_type in ("Reshape", "Transpose", "Identity", "Concat"):
        node = node.inputs[0].producer()
    if node is None or node.op_type not in ("Mul", "Div"):
        return None
    factor = next((array for each in node.inputs if (array := constant(each)) is not None), None)
    if factor is None or not factor.size:
        return None
    largest = float(abs(factor).max())
    return largest >= 1 if node.op_type == "Mul" else largest <= 1


def _text(strides: tuple[int, ...]) -> str:
    return " ".join(map(str, strides))
