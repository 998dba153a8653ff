"""`--nms`: the graph itself ends in the detections that the decoder would return."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import edgec
from edgec.application.record import Application, application_of
from edgec.application.suppression import with_suppression
from edgec.data.decoders.read import make_decoder
from edgec.data.preprocess import place_picture
from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing
from edgec.reference.session import Reference
from tests.support import heads
from tests.support.decoder_cases import CASES, SIZE, outputs_of

PICTURE = np.zeros((1, 3, SIZE[1], SIZE[0]), np.float32)


def returning(outputs: dict[str, np.ndarray[Any, Any]]) -> ir.Model:
    """Return a network that returns these arrays for any picture."""
    names = ", ".join(f"float[{', '.join(map(str, array.shape))}] {name}" for name, array in outputs.items())
    nodes = "\n".join(f"{name} = Add (constant_{name}, zero)" for name in outputs)
    text = f"net (float[1, 3, {SIZE[1]}, {SIZE[0]}] x) => ({names}) {{ first = ReduceMin <keepdims = 0> (x)\n"
    text += f"zero = Mul (first, nothing)\n{nodes} }}"
    weights = {f"constant_{name}": array for name, array in outputs.items()}
    return heads.network(text, nothing=np.array(0, np.float32), **weights)


def applied(case: str, **settings: Any) -> Application:
    kind, given = CASES[case]
    return application_of(kind, make_decoder(kind, {**given, **settings}, case))


@pytest.mark.parametrize("settings", [{}, {"min_score": 0.3, "max_overlap": 0.2, "max_detections": 9}])
@pytest.mark.parametrize("case", ["yolov3", "yolov5", "yolov8", "yolox", "ssd", "ssd with priors"])
def test_detections_are_those_of_the_decoder(case: str, settings: dict[str, Any]) -> None:
    application = applied(case, **settings)
    spec = TensorSpec(name="x", shape=PICTURE.shape, dtype="float32")
    how = Preprocessing(resize="letterbox")
    _, placement = place_picture(Image.new("RGB", (96, 50)), spec, how)
    sample = Sample("picture", {}, None, placement)
    for seed in range(3):
        outputs = outputs_of(case, np.random.default_rng(seed))
        changed, read = with_suppression(returning(outputs), application, SIZE)
        found = Reference(changed).run({"x": PICTURE})
        assert [array.shape[1:] for array in found.values()] == [(6,)]
        got, wanted = read.open()(found, sample), application.open()(outputs, sample)
        assert len(wanted.boxes) > 3
        np.testing.assert_array_equal(got.labels, wanted.labels)
        np.testing.assert_allclose(got.scores, wanted.scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(got.boxes, wanted.boxes, rtol=0, atol=1e-3)


def test_a_score_that_is_just_the_minimum_counts_and_nothing_found_is_no_row() -> None:
    box = np.array([[[10], [10], [4], [4], [0.5], [0.25]]], np.float32)
    for least, count in ((0.25, 2), (0.5, 1), (0.75, 0)):
        changed, _ = with_suppression(returning({"out0": box}), applied("yolov8", min_score=least), SIZE)
        (rows,) = Reference(changed).run({"x": PICTURE}).values()
        assert rows.shape == (count, 6)


def test_class_names_and_settings_are_kept() -> None:
    box = np.zeros((1, 6, 3), np.float32)
    application = applied("yolov8", classes=["cat", "dog"], min_score=0.2)
    _, read = with_suppression(returning({"out0": box}), application, SIZE)
    assert (read.decoder, read.settings) == ("boxes", {"classes": ["cat", "dog"], "min_score": 0.2})


@pytest.mark.parametrize("case", ["yolov8-seg", "scores", "detr", None])
def test_other_heads_are_refused(case: str | None) -> None:
    application = None if case is None else applied(case)
    with pytest.raises(BadOption, match=r"--nms: .*ssd, yolov3, yolov5, yolov8, yolox"):
        with_suppression(returning({"out0": np.zeros((1, 7), np.float32)}), application, SIZE)


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("jetson-orin-nano", {}, "--nms is not available on jetson-orin-nano"),
        ("host", {"batch": (1, 4)}, "for one picture at a time"),
        ("host", {"decoder": "detr"}, "--nms: the decoder is detr"),
    ],
)
def test_what_it_is_not_for_is_refused_before_anything_is_compiled(target: str, options: Any, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        edgec.compile(ir.to_proto(heads.yolov8()), target=target, nms=True, **options)
