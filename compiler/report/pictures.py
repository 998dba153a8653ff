"""`sample_pictures`: some samples with the answers of the original and of the compressed network."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from edgec.compress.compressed import Compressed
from edgec.data.decoders.base import WITH_BOXES, Decoder
from edgec.data.decoders.detections import Detections
from edgec.data.decoders.scores import Scores
from edgec.data.labels import Boxes, ClassLabel, Text
from edgec.data.placement import Placement
from edgec.data.samples import Sample, Samples, spread
from edgec.preprocessing import Preprocessing
from edgec.reference.session import Reference
from edgec.report.findings import Answer, Box, Picture

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]
Run = Callable[[Outputs], Outputs]

SHOWN = 4
LARGEST = 480
"""Length in pixels of the longer side of a picture in the report."""
CHANNELS = (1, 3)
"""Channel counts of network inputs that can be drawn."""
CLASSIFICATION = ("classification", "top1", "top5")
MIN_SCORE = 0.3
"""Minimum score of detections that are drawn; metrics also use lower ones."""


def sample_pictures(done: Compressed, how: Preprocessing) -> tuple[Picture, ...]:
    """Return `SHOWN` samples, or none if the outputs cannot be decoded or drawn."""
    if not can_show(done, how):
        return ()
    said = zip(answers(Reference(done.original).run, done), answers(Reference(done.model).run, done), strict=True)
    found = []
    for sample, (original, compressed) in zip(_shown(done), said, strict=True):
        picture = _picture(sample, how)
        found.append(
            Picture(
                name=sample.name.rpartition("/")[2],
                size=picture.size,
                png=_png(picture),
                truth=_truth(sample, done.tasks.decide.context.classes),
                original=original,
                compressed=compressed,
            )
        )
    return tuple(found)


def can_show(done: Compressed, how: Preprocessing) -> bool:
    """Whether samples are pictures, grey or in colour, and there is a decoder of the outputs."""
    if _reader(done) is None:
        return False
    sample = done.tasks.decide.samples[0]
    return sample.placement is not None and _pixels(sample, how).shape[2] in CHANNELS


def answers(run: Run, done: Compressed) -> list[Answer]:
    """Return the answer of `run` (inputs by name to outputs by name) for each sample that is shown."""
    decoder = _reader(done)
    if decoder is None:
        raise ValueError("there is no decoder of the outputs")
    classes = decoder.classes or done.tasks.decide.context.classes
    return [_answer(run(sample.inputs), sample, decoder, classes) for sample in _shown(done)]


def _shown(done: Compressed) -> Samples:
    """Return samples at even distances, from the held-out ones if there are any."""
    return spread((done.tasks.held_out or done.tasks.decide).samples, SHOWN)


def _reader(done: Compressed) -> Decoder | None:
    """Return the decoder of the outputs: the one that was given, or scores if the metric is for classes."""
    context, metric = done.tasks.decide.context, done.tasks.decide.metric
    if context.decoder is not None:
        return context.decoder if context.decoder.kind in (*WITH_BOXES, "scores", "text") else None
    return Scores() if metric in CLASSIFICATION else None


def _answer(outputs: Outputs, sample: Sample, decoder: Decoder, classes: tuple[str, ...]) -> Answer:
    """Return what `decoder` finds in the outputs for `sample`."""
    said = decoder(outputs, sample)
    if decoder.kind in WITH_BOXES:
        return Answer(boxes=tuple(_boxes(said, sample.placement, classes)))
    if decoder.kind == "scores":
        return Answer(text=_name(int(said.argmax()), classes))
    return Answer(text=str(said))


def _boxes(found: Detections, placement: Placement | None, classes: tuple[str, ...]) -> list[Box]:
    return [
        Box(corners=_to_network(box, placement), label=_name(int(label), classes), score=round(float(score), 3))
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        if score >= MIN_SCORE
    ]


def _truth(sample: Sample, classes: tuple[str, ...]) -> Answer | None:
    label = sample.label
    if isinstance(label, Boxes):
        rows = zip(label.boxes, label.classes, label.ignored, strict=True)
        boxes = [
            Box(corners=_to_network(box, sample.placement), label=_name(int(kind), classes), score=1.0)
            for box, kind, ignored in rows
            if not ignored
        ]
        return Answer(boxes=tuple(boxes))
    if isinstance(label, ClassLabel):
        return Answer(text=_name(label.index, classes))
    return Answer(text=label.text) if isinstance(label, Text) else None


def _to_network(box: Array, placement: Placement | None) -> tuple[float, float, float, float]:
    """Return corners in pixels of the original picture as fractions of the network's input."""
    if placement is None:
        raise ValueError("the sample is not a picture")
    scale = np.array([*placement.scale, *placement.scale])
    offset = np.array([*placement.offset, *placement.offset])
    x0, y0, x1, y1 = (np.asarray(box, np.float64) * scale + offset) / np.array([*placement.network] * 2)
    return tuple(round(float(side), 4) for side in (x0, y0, x1, y1))  # type: ignore[return-value]


def _name(number: int, classes: tuple[str, ...]) -> str:
    return classes[number] if number < len(classes) else str(number)


def _picture(sample: Sample, how: Preprocessing) -> Image.Image:
    """Return the network's input as the picture from which it was made."""
    pixels = (_pixels(sample, how) * np.array(how.std) + np.array(how.mean)) / how.scale
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if how.colour == "bgr":
        pixels = pixels[..., ::-1]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def _pixels(sample: Sample, how: Preprocessing) -> Array:
    """Return the network's input as [height, width, channels]."""
    (array,) = sample.inputs.values()
    pixels: Array = array[0].transpose(1, 2, 0) if how.layout == "NCHW" else array[0]
    return pixels


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
