"""Heads are recognised by their structure; what only looks like one is not claimed."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from edgec.application.recognition.head import Head, Hint
from edgec.application.recognition.recognize import recognize
from edgec.data.decoders.read import make_decoder
from tests.support import heads
from tests.support.models import model

HEADS: dict[str, tuple[str, Callable[[], ir.Model]]] = {
    "yolov8": ("yolov8", heads.yolov8),
    "yolov8, one class": ("yolov8", lambda: heads.yolov8(classes=1)),
    "yolov8 with masks": ("yolov8-seg", lambda: heads.yolov8(further=8, prototypes=True)),
    "yolov8 with key points": ("yolov8-pose", lambda: heads.yolov8(classes=1, further=15)),
    "yolov8 with angles": ("yolov8-obb", lambda: heads.yolov8(further=1)),
    "yolov5": ("yolov5", heads.yolov5),
    "yolox": ("yolox", heads.yolox),
    "one to one": ("boxes", heads.one_to_one),
    "chosen by a suppression": ("boxes", heads.chosen),
    "chosen, of a picture without a batch": ("boxes", lambda: heads.chosen(batch=False)),
    "rt-detr": ("detr", heads.detr),
    "rt-detr with probabilities": ("detr", lambda: heads.detr(sigmoid=True)),
    "rt-detr in one output": ("detr", lambda: heads.detr(joined=True)),
    "ssd": ("ssd", heads.ssd),
    "centernet": ("centernet", heads.centernet),
    "dbnet": ("dbnet", heads.dbnet),
    "argmax": ("class-map", lambda: heads.segmenter("argmax")),
    "softmax over pixels": ("class-map", lambda: heads.segmenter("softmax")),
    "scores of pixels": ("class-map", lambda: heads.segmenter("resize")),
    "classifier": ("scores", heads.classifier),
    "logits of ImageNet": ("scores", lambda: heads.classifier(1000, softmax=False)),
    "ctc": ("ctc", lambda: heads.ctc(3, metadata={"character": "a\nb\nc\n"})),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_recognised(name: str) -> None:
    decoder, made = HEADS[name]
    found = recognize(made())
    assert isinstance(found, Head), found
    assert found.decoder == decoder
    make_decoder(found.decoder, dict(found.settings), "settings")  # they are such of the decoder


def test_the_names_of_tensorflow_mean_y_before_x_as_fractions() -> None:
    found = recognize(heads.chosen(("detection_boxes", "detection_classes", "detection_scores")))
    assert isinstance(found, Head)
    assert found.settings == {
        "boxes": "detection_boxes", "scores": "detection_scores", "labels": "detection_classes",
        "shares": True, "rows_first": True,
    }  # fmt: skip


UNSURE: dict[str, tuple[str, Callable[[], ir.Model]]] = {
    "yolov3": ("anchors are not in the model", heads.yolov3),
    "ssd without priors": ("priors=FILE", lambda: heads.ssd(priors=False)),
    "detr without a choice of queries": ("activation=softmax", lambda: heads.detr(topk=False)),
    "mask of one class": ("threshold=0.5", lambda: heads.dbnet(transposed=False)),
    "scores or embedding": ("decoder embedding", lambda: heads.classifier(128, softmax=False)),
    "ctc without dictionary": ("dictionary=FILE", heads.ctc),
}


@pytest.mark.parametrize("name", UNSURE)
def test_what_is_lacking_is_said(name: str) -> None:
    text, made = UNSURE[name]
    found = recognize(made())
    assert isinstance(found, Hint), found
    assert text in found.text


NONE: dict[str, Callable[[], ir.Model]] = {
    "yolov8 without probabilities": lambda: heads.yolov8(sigmoid=False),
    "yolox without probabilities": lambda: heads.yolox(sigmoid=False),
    "rows of six that nothing chose": lambda: heads.one_to_one(topk=False),
    "centernet without probabilities": lambda: heads.centernet(sigmoid=False),
    "features": lambda: model(
        "g (float[1, 3, 32, 32] x) => (float[1, 3, 8, 8] y) <float[3, 3, 1, 1] w = {1,2,3,4,5,6,7,8,9}>"
        "{ p = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)  y = Conv (p, w) }"
    ),
    "two inputs": lambda: model(
        "g (float[1, 3, 8, 8] x, float[1, 3, 8, 8] z) => (float[1, 3, 8, 8] y) "
        "{ s = Add (x, z) y = Softmax <axis = 1> (s) }"
    ),
    "no picture": lambda: model("g (float[1, 16] x) => (float[1, 16] y) { y = Softmax <axis = 1> (x) }"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_a_head_is_not_claimed(name: str) -> None:
    assert recognize(NONE[name]()) is None


def test_maps_of_centernet_are_told_apart_by_their_names() -> None:
    found = recognize(heads.centernet(swapped=True))
    assert isinstance(found, Head)
    assert (found.settings["sizes"], found.settings["offsets"]) == ("wh", "reg")


def test_boxes_by_a_sigmoid_are_shares_of_the_picture() -> None:
    found = recognize(heads.one_to_one(shares=True))
    assert isinstance(found, Head)
    assert dict(found.settings) == {"centred": True, "shares": True}


def test_the_number_of_key_points_comes_from_the_metadata() -> None:
    found = recognize(heads.yolov8(classes=1, further=12, metadata={"kpt_shape": "[6, 2]"}))
    assert isinstance(found, Head)
    assert (found.settings["points"], found.settings["values"]) == (6, 2)
