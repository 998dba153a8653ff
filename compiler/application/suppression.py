"""`with_suppression`: a detector whose graph ends in its detections: decoding and NonMaxSuppression are nodes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.application.record import Application, application_of
from edgec.data.decoders import yolov3, yolox
from edgec.data.decoders.boxes import PlainBoxes
from edgec.data.decoders.detections import DetectionDecoder
from edgec.data.decoders.ssd import MAX_LOG_SCALE, Ssd
from edgec.data.decoders.yolov5 import Yolov5
from edgec.data.decoders.yolov8 import Yolov8
from edgec.errors import BadOption
from edgec.model.graph import FreshNames, register_constant, shape_of

OPSET = 13
"""Operator set of the nodes that are added."""
OUTPUT = "detections"


def with_suppression(
    model: ir.Model, application: Application | None, size: tuple[int, int]
) -> tuple[ir.Model, Application]:
    """Return a copy of `model` that ends in its detections, and how that output is decoded.

    Its only output is float32 [detections, 6]: x0, y0, x1, y1 in pixels of the input, score and class, best first;
    their number depends on the picture, up to the decoder's `max_detections`. They are those that the decoder returns,
    but of equal scores of different classes, the lower class comes first.

    Args:
        model: Model of operator set 13 or newer with static shapes; it is not modified.
        application: How its outputs are decoded.
        size: Width and height of its input, in pixels.

    Raises:
        BadOption: There is no decoder, or one whose boxes need no suppression or more than boxes.
    """
    decoder = None if application is None else application.open()
    make = _HEADS.get(type(decoder)) if decoder is not None else None
    if application is None or make is None or not isinstance(decoder, DetectionDecoder):
        kinds = ", ".join(sorted(each.__name__.lower() for each in _HEADS))
        said = "no decoder is known" if application is None else f"the decoder is {application.decoder}"
        remedy = "Leave --nms out." if application is not None else "Give --decoder, or leave --nms out."
        raise BadOption(f"--nms: {said}, but it is for these decoders: {kinds}", remedy=remedy)
    copy = model.clone()
    end = _End(copy)
    boxes, scores = make(end, decoder, size)
    detections = end.suppressed(boxes, scores, decoder, size)
    detections.name = end.fresh(OUTPUT)
    detections.type, detections.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([OUTPUT, 6])
    copy.graph.outputs[:] = [detections]
    RemoveUnusedNodesPass()(copy)
    kept = decoder.model_dump(include={"classes", "min_score", "max_detections"} & decoder.model_fields_set)
    assumed = (*application.assumed, "boxes that overlap better ones of their class are dropped by the network itself")
    return copy, application_of("boxes", PlainBoxes(**kept), assumed)


class _End:
    """Adds nodes behind those of a model."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.fresh = FreshNames(model.graph)
        self.outputs = {value.name or "": value for value in model.graph.outputs}

    def output(self, name: str | None, position: int = 0) -> tuple[ir.Value, tuple[int, ...]]:
        """Return the output called `name`, or else the one at `position`, and its shape, as `pick` does for arrays."""
        value = list(self.outputs.values())[position] if name is None else self.outputs[name]
        return value, shape_of(value) or ()

    def op(self, op_type: str, *inputs: Any, count: int = 1, **attributes: Any) -> Any:
        """Add a node and return its output, or its `count` outputs; inputs that are no values become constants."""
        values = [each if isinstance(each, ir.Value) else self.constant(each) for each in inputs]
        name = self.fresh(f"nms_{op_type}")
        node = ir.node(op_type, values, attributes, num_outputs=count, name=name)
        for place, output in enumerate(node.outputs):
            output.name = self.fresh(f"{name}_{place}")
        self.graph.append(node)
        return node.outputs[0] if count == 1 else node.outputs

    def constant(self, given: Any) -> ir.Value:
        """Add an initializer: float32, or int64 for whole numbers."""
        array = np.asarray(given)
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        return register_constant(self.graph, self.fresh("nms_constant"), array.astype(kind))

    def columns(self, rows: ir.Value, begin: int, end: int) -> ir.Value:
        """Return columns of [n, columns]."""
        found: ir.Value = self.op("Slice", rows, [begin], [end], [1])
        return found

    def turned(self, rows: ir.Value) -> ir.Value:
        """Return the transposition of a matrix."""
        found: ir.Value = self.op("Transpose", rows, perm=[1, 0])
        return found

    def corners(self, centres: ir.Value, sizes: ir.Value) -> ir.Value:
        """Return [n, 4] corners of boxes with these centres and sizes [n, 2]."""
        half = self.op("Div", sizes, 2.0)
        found: ir.Value = self.op("Concat", self.op("Sub", centres, half), self.op("Add", centres, half), axis=1)
        return found

    def suppressed(
        self, boxes: ir.Value, scores: ir.Value, decoder: DetectionDecoder, size: tuple[int, int]
    ) -> ir.Value:
        """Return the detections among boxes [n, 4] (corners) with scores [classes, n]; see `with_suppression`."""
        limit = decoder.max_detections
        # The threshold of NonMaxSuppression is exclusive, the decoder's is inclusive.
        below = np.nextafter(np.float32(decoder.min_score), np.float32(-1))
        edges = [[float(side) for side in (*size, *size)]]
        boxes = self.op("Min", self.op("Max", boxes, 0.0), edges)
        rows = [self.op("Unsqueeze", each, [0]) for each in (boxes, scores)]
        chosen = self.op("NonMaxSuppression", *rows, [limit], [decoder.max_overlap], [below])
        label, box = (self.op("Gather", chosen, column, axis=1) for column in (1, 2))
        score = self.op("GatherND", scores, self.op("Slice", chosen, [1], [3], [1]))
        count = self.op("Min", self.op("Shape", score), [limit])
        best, order = self.op("TopK", score, count, count=2)
        label = self.op("Cast", self.op("Gather", label, order), to=ir.DataType.FLOAT)
        parts = [self.op("Gather", boxes, self.op("Gather", box, order))]
        parts += [self.op("Unsqueeze", each, [1]) for each in (best, label)]
        found: ir.Value = self.op("Concat", *parts, axis=1)
        return found


Head = tuple[ir.Value, ir.Value]
"""Boxes [n, 4] as corners in pixels of the input, and scores [classes, n]."""


def _yolov8(end: _End, decoder: Yolov8, size: tuple[int, int]) -> Head:
    output, (_, fields, count) = end.output(decoder.output)
    fields_of = end.op("Reshape", output, [fields, count])
    centred = end.turned(end.op("Slice", fields_of, [0], [4], [0]))
    scores = end.op("Slice", fields_of, [4], [fields], [0])
    return end.corners(end.columns(centred, 0, 2), end.columns(centred, 2, 4)), scores


def _yolov5(end: _End, decoder: Yolov5 | yolox.Yolox, size: tuple[int, int]) -> Head:
    output, (_, count, fields) = end.output(decoder.output)
    rows = end.op("Reshape", output, [count, fields])
    centres, sizes = end.columns(rows, 0, 2), end.columns(rows, 2, 4)
    if isinstance(decoder, yolox.Yolox):
        cells, stride = yolox.grid(size, decoder.strides)
        centres = end.op("Mul", end.op("Add", centres, cells), stride)
        sizes = end.op("Mul", end.op("Exp", end.op("Min", sizes, yolox.MAX_LOG_SIZE)), stride)
    scores = end.op("Mul", end.columns(rows, 4, 5), end.columns(rows, 5, fields))
    return end.corners(centres, sizes), end.turned(scores)


def _yolov3(end: _End, decoder: yolov3.Yolov3, size: tuple[int, int]) -> Head:
    boxes, scores = [], []
    for scale in decoder.outputs:
        output, (_, channels, height, width) = end.output(scale.name)
        anchors, cells = np.array(scale.anchors, np.float32), height * width
        fields, count = channels // len(anchors), len(anchors) * cells
        by_anchor = end.op("Reshape", output, [len(anchors), fields, cells])
        rows = end.op("Reshape", end.op("Transpose", by_anchor, perm=[0, 2, 1]), [count, fields])
        ys, xs = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        corner = np.tile(np.stack([xs.ravel(), ys.ravel()], axis=1), (len(anchors), 1)).astype(np.float32)
        inner = end.op("Sigmoid", end.columns(rows, 0, 2))
        centres = end.op("Mul", end.op("Add", inner, corner), float(scale.stride))
        growth = end.op("Exp", end.op("Min", end.columns(rows, 2, 4), yolov3.MAX_LOG_SCALE))
        boxes.append(end.corners(centres, end.op("Mul", growth, np.repeat(anchors, cells, axis=0))))
        objects, classes = (end.op("Sigmoid", end.columns(rows, *each)) for each in ((4, 5), (5, fields)))
        scores.append(end.op("Mul", objects, classes))
    return end.op("Concat", *boxes, axis=0), end.turned(end.op("Concat", *scores, axis=0))


def _ssd(end: _End, decoder: Ssd, size: tuple[int, int]) -> Head:
    offsets, (_, count, _) = end.output(decoder.boxes)
    scores, (_, _, width) = end.output(decoder.scores, 1)
    given = decoder.given_priors
    priors = given.reshape(-1, 4) if given is not None else end.output(decoder.output_of_priors, 2)[0]
    priors = end.op("Reshape", priors, [count, 4])
    offsets, scores = end.op("Reshape", offsets, [count, 4]), end.op("Reshape", scores, [count, width])
    if decoder.logits:
        scores = end.op("Softmax", scores, axis=1)
    sides = end.columns(priors, 2, 4)
    moved = end.op("Mul", end.op("Mul", end.columns(offsets, 0, 2), float(decoder.variances[0])), sides)
    growth = end.op("Min", end.op("Mul", end.columns(offsets, 2, 4), float(decoder.variances[1])), MAX_LOG_SCALE)
    centres = end.op("Add", end.columns(priors, 0, 2), moved)
    shares = end.corners(centres, end.op("Mul", sides, end.op("Exp", growth)))
    return end.op("Mul", shares, [[float(side) for side in (*size, *size)]]), end.turned(end.columns(scores, 1, width))


_HEADS: dict[type, Callable[[_End, Any, tuple[int, int]], Head]] = {
    Ssd: _ssd,
    Yolov5: _yolov5,
    Yolov8: _yolov8,
    yolov3.Yolov3: _yolov3,
    yolox.Yolox: _yolov5,
}
