"""Heads with boxes and scores as two outputs: prior boxes of SSD, queries of DETR and its successors."""

from __future__ import annotations

import onnx_ir as ir

from edgec.application.recognition.fields import between_ops, fields, is_sigmoid, softmax_axis
from edgec.application.recognition.head import Facts, Head, Hint
from edgec.model.graph import constant

QUERIES = 1000
"""Maximum number of queries of a network; there are more prior boxes than that."""
Output = tuple[ir.Value, tuple[int, ...]]


def detr(facts: Facts) -> Head | Hint | None:
    """Boxes [1, n, 4] from a sigmoid (centre, size as fractions) and scores [1, n, classes]; or both in one output."""
    if len(facts.outputs) == 1:
        return _joined(facts)
    pair = _boxes_and_scores(facts)
    if pair is None or len(facts.outputs) != 2:
        return None
    (boxes, shape), (scores, _) = pair
    if shape[1] > QUERIES or not is_sigmoid(boxes) or facts.strides_of(shape[1]) is not None:
        return None
    named = {"boxes": boxes.name, "scores": scores.name}
    reason = f"{shape[1]} queries: boxes from a sigmoid, as fractions of the picture, and class scores"
    assumed = ("the boxes are centre and size, as in DETR and its successors",)
    if is_sigmoid(scores):
        return Head("detr", f"{reason} from a sigmoid", {**named, "activation": "none"}, assumed=assumed)
    if softmax_axis(scores) == 2:
        settings = {**named, "activation": "none", "background": True}
        return Head("detr", f"{reason} from a softmax", settings, assumed=(*assumed, "the last class is `no object`"))
    if "TopK" in facts.ops:
        return Head(
            "detr",
            f"{reason}; TopK selects the queries",
            {**named, "activation": "sigmoid"},
            assumed=(*assumed, "the scores are logits of a sigmoid, as in other networks that select their queries"),
        )
    return Hint(
        f"the outputs look like the {shape[1]} queries of a DETR, but the graph does not tell what follows the scores: "
        "give --decoder detr,activation=softmax (the last class is `no object`) or detr,activation=sigmoid"
    )


def _joined(facts: Facts) -> Head | None:
    """One output [1, n, 4 + classes], as Ultralytics exports RT-DETR."""
    output, shape = facts.outputs[0]
    if len(shape) != 3 or shape[0] != 1 or shape[1] > QUERIES or facts.strides_of(shape[1]) is not None:
        return None
    parts = fields(output, 2)
    if [part.size for part in parts] != [4, shape[2] - 4] or "TopK" not in facts.ops:
        return None
    if not (is_sigmoid(parts[0].value) and is_sigmoid(parts[1].value)):
        return None
    reason = f"{shape[1]} queries: centre and size as fractions of the picture, class probabilities, in one output"
    return Head("detr", reason, {"activation": "none"})


def ssd(facts: Facts) -> Head | Hint | None:
    """Raw offsets [1, n, 4] and scores [1, n, 1 + classes] for prior boxes, which may be a third output."""
    pair = _boxes_and_scores(facts)
    if pair is None:
        return None
    (boxes, shape), (scores, _) = pair
    if shape[1] <= QUERIES and "PriorBox" not in facts.ops:
        small = shape[1] < 100
        if small:
            return None
    if between_ops(boxes) - {
        "Conv",
        "Concat",
        "Reshape",
        "Transpose",
        "Flatten",
        "Add",
        "Cast",
        "BatchNormalization",
        "QuantizeLinear",
        "DequantizeLinear",
        "Squeeze",
        "Unsqueeze",
        "Identity",
    }:
        return None
    rest = [(value, size) for value, size in facts.outputs if value is not boxes and value is not scores]
    logits = softmax_axis(scores) != len(shape) - 1
    if logits and not _is_raw(scores):
        return None
    priors = [value for value, size in rest if size[-1] == 4 and size[-2:] == shape[-2:]]
    if not priors:
        if rest:
            return None
        return Hint(
            f"the outputs look like an SSD's offsets and scores for {shape[1]} prior boxes, which the model does not "
            "contain: --decoder ssd,priors=FILE.npy, with their centres and sizes as fractions of the picture"
        )
    if len(rest) != 1:
        return None
    settings = {"boxes": boxes.name, "scores": scores.name, "priors": priors[0].name, "logits": logits}
    assumed = ("the variances are 0.1 and 0.2, the first class is the background",)
    reason = f"offsets and class scores for {shape[1]} prior boxes, which are an output"
    return Head("ssd", reason, settings, assumed=assumed)


def _boxes_and_scores(facts: Facts) -> tuple[Output, Output] | None:
    """Return the outputs [1, n, 4] that depend on the picture and [1, n, c], the only ones of their kind."""
    computed = [pair for pair in facts.outputs if constant(pair[0]) is None and between_ops(pair[0])]
    boxes = [pair for pair in computed if len(pair[1]) == 3 and pair[1][0] == 1 and pair[1][2] == 4]
    if len(boxes) == 2:  # with three classes and the background both look alike: offsets have no softmax or sigmoid
        boxes = [pair for pair in boxes if softmax_axis(pair[0]) is None and not is_sigmoid(pair[0])]
    if len(boxes) != 1:
        return None
    count = boxes[0][1][1]
    scores = [pair for pair in computed if pair is not boxes[0] and len(pair[1]) == 3 and pair[1][:2] == (1, count)]
    return (boxes[0], scores[0]) if len(scores) == 1 else None


def _is_raw(value: ir.Value) -> bool:
    return not is_sigmoid(value) and not between_ops(value) & {"Sigmoid", "Softmax", "Exp"}
