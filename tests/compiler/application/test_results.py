"""What `predict` returns: in the picture's own pixels, drawable, printable, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgec.application.predictor import Predictor, decoder_for_people
from edgec.application.record import Application
from edgec.application.results.classification import Classification
from edgec.application.results.detections import Detections
from edgec.application.results.embedding import Embedding
from edgec.application.results.mask import Mask
from edgec.application.results.picture import Picture
from edgec.application.results.run_lengths import run_lengths
from edgec.application.results.shapes import Instances, Keypoints, RotatedBoxes
from edgec.application.results.text import Text
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

Array = np.ndarray[Any, Any]

INPUT = TensorSpec(name="x", shape=(1, 3, 64, 64), dtype="float32")
PICTURE = np.full((100, 200, 3), 90, np.uint8)
"""Letterboxed to 64x64 it is 64x32, with 16 rows of grey above: one pixel of the input is 3.125 of it."""


def predictor(decoder: str, outputs: dict[str, Any], *, min_score: float | None = None, **settings: Any) -> Predictor:
    """Return a predictor of a network that always gives `outputs`."""
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    read = decoder_for_people(Application(decoder=decoder, settings=settings), None, min_score)
    return Predictor(lambda feeds: arrays, (INPUT,), Preprocessing(resize="letterbox"), read)


def boxes(*rows: tuple[float, ...]) -> dict[str, Array]:
    return {"y": np.array([rows], np.float32)}


def test_detections_are_in_pixels_of_the_picture() -> None:
    rows = boxes((16, 24, 32, 40, 0.9, 1), (0, 16, 64, 48, 0.2, 0))
    found = predictor("boxes", rows, classes=["cat", "dog"]).predict(PICTURE)
    assert isinstance(found, Detections)
    np.testing.assert_allclose(found.boxes, [[50, 25, 100, 75]])
    assert found.names == ("dog",) and found.classes.tolist() == [1] and found.size == (200, 100)
    assert repr(found) == "<Detections: 1 in 200x100: dog 0.90 [50.0 25.0 100.0 75.0]>"
    (only,) = found
    assert only.box == (50, 25, 100, 75) and only.name == "dog"
    said = json.loads(json.dumps(found.to_dict()))
    assert said == {
        "kind": "detections",
        "width": 200,
        "height": 100,
        "detections": [{"box": [50, 25, 100, 75], "score": 0.9, "class": 1, "name": "dog"}],
    }
    drawn = np.asarray(found.draw(PICTURE))
    assert drawn.shape == PICTURE.shape
    assert (drawn[50, 50] != 90).any() and (drawn[50, 75] == 90).all()  # the outline, and not what is within
    assert len(predictor("boxes", rows, min_score=0.1).predict(PICTURE)) == 2


def test_boxes_of_queries_are_shares_of_the_input() -> None:
    rows = boxes((0.375, 0.5, 0.25, 0.25, 0.9, 1))
    found = predictor("boxes", rows, centred=True, shares=True).predict(PICTURE)
    np.testing.assert_allclose(found.boxes, [[50, 25, 100, 75]])


def test_nothing_found_is_a_result() -> None:
    found = predictor("boxes", {"y": np.zeros((1, 0, 6), np.float32)}).predict(PICTURE)
    assert len(found) == 0 and "none" in repr(found) and found.to_dict()["detections"] == []
    assert found.draw(PICTURE).size == (200, 100)


def test_a_list_gives_a_list_and_all_forms_of_a_picture_are_the_same(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "p.png")
    one = predictor("boxes", boxes((16, 24, 32, 40, 0.9, 1)))
    forms = [PICTURE, tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(PICTURE), PICTURE[..., 0]]
    found = one.predict(forms)
    assert [each.boxes.tolist() for each in found] == [found[0].boxes.tolist()] * len(forms)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PICTURE.astype(np.float32), "pixels must be uint8"),
        (PICTURE.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (PICTURE[None], r"list\(array\)"),
        (np.zeros((0, 5, 3), np.uint8), "empty"),
        (7, "int is not a picture"),
        ("missing.png", "missing.png"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        predictor("boxes", boxes((16, 24, 32, 40, 0.9, 1))).predict(given)


def test_a_result_is_drawn_on_its_own_picture_only() -> None:
    found = predictor("boxes", boxes((16, 24, 32, 40, 0.9, 1))).predict(PICTURE)
    with pytest.raises(BadOption, match="50x50"):
        found.draw(np.zeros((50, 50, 3), np.uint8))


def test_classification() -> None:
    logits = np.array([[0.0, 2.0, 1.0]], np.float32)
    found = predictor("scores", {"y": logits}, logits=True, classes=["a", "b", "c"]).predict(PICTURE)
    assert isinstance(found, Classification)
    assert (found.name, found.label) == ("b", 1)
    np.testing.assert_allclose(found.scores, np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum(), rtol=1e-6)
    assert found.to_dict()["best"][1]["name"] == "c" and "b 0.665" in repr(found)
    assert found.draw(PICTURE).size == (200, 100)


def test_text() -> None:
    scores = np.zeros((1, 4, 4), np.float32)
    scores[0, range(4), [1, 0, 2, 2]] = 1
    found = predictor("ctc", {"y": scores}, characters=["h", "i", "车"]).predict(PICTURE)
    assert isinstance(found, Text) and str(found) == "hi" and found.to_dict()["text"] == "hi"
    assert found.draw(PICTURE).size == (200, 100)


def test_mask() -> None:
    scores = np.zeros((1, 3, 16, 16), np.float32)
    scores[0, 0] = 0.5
    scores[0, 2, 4:12, :8] = 1
    found = predictor("class-map", {"y": scores}, classes=["ground", "road", "sky"]).predict(PICTURE)
    assert isinstance(found, Mask)
    assert found.classes.shape == (100, 200) and found.names == ("ground", "sky") and found.shares == (0.5, 0.5)
    counts = found.to_dict()["classes"][1]["rle"]
    assert counts == {"size": [100, 200], "counts": [0, 100 * 100, 100 * 100]}
    assert "sky 50.0%" in repr(found)
    assert (np.asarray(found.draw(PICTURE))[10, 10] != 90).any()


def test_a_mask_of_one_class_has_a_threshold() -> None:
    scores = np.zeros((1, 1, 16, 16), np.float32)
    scores[..., 8:] = 0.7
    found = predictor("class-map", {"y": scores}, threshold=0.5, classes=["rest", "person"]).predict(PICTURE)
    assert found.classes[50, [50, 150]].tolist() == [0, 1]


def column(values: list[float]) -> Array:
    return np.array(values, np.float32).reshape(1, -1, 1)


def test_instances() -> None:
    prototypes = np.full((1, 2, 16, 16), -1, np.float32)
    prototypes[0, 0, :, :6] = 1  # the left 24 pixels of the input
    outputs = {"y": column([24, 32, 16, 16, 0.9, 1, 0]), "protos": prototypes}
    found = predictor("yolov8-seg", outputs, masks=2).predict(PICTURE)
    assert isinstance(found, Instances)
    assert found.masks.shape == (1, 100, 200)
    rows, columns = np.nonzero(found.mask(0))
    assert (rows.min(), rows.max()) == (25, 74)  # the box, 16..32 x 24..40 of the input
    assert (columns.min(), columns.max()) == (50, 74)  # up to half of it, where the prototype changes sign
    assert sum(found.to_dict()["detections"][0]["mask"]["counts"]) == 100 * 200
    assert (np.asarray(found.draw(PICTURE))[50, 60] != 90).any()


def test_keypoints() -> None:
    found = predictor("yolov8-pose", {"y": column([24, 32, 16, 16, 0.9, 16, 24, 0.8, 32, 40, 0.1])}, points=2).predict(
        PICTURE
    )
    assert isinstance(found, Keypoints)
    np.testing.assert_allclose(found.points, [[[50, 25, 0.8], [100, 75, 0.1]]], rtol=1e-6)
    assert found.to_dict()["detections"][0]["points"] == [[50, 25, 0.8], [100, 75, 0.1]]
    assert found.draw(PICTURE).size == (200, 100)


def test_rotated_boxes_of_a_class_that_overlap_are_one() -> None:
    quarter = np.pi / 2
    columns = np.array([[32, 32, 16, 8, 0.9, quarter], [32, 32, 8, 16, 0.8, 0], [10, 32, 8, 8, 0.7, 0]], np.float32)
    found = predictor("yolov8-obb", {"y": columns.T[None]}).predict(PICTURE)
    assert isinstance(found, RotatedBoxes)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    np.testing.assert_allclose(found.boxes[0], [87.5, 25, 112.5, 75], atol=1e-3)
    assert found.corners.shape == (2, 4, 2) and len(found.to_dict()["detections"][0]["corners"]) == 4
    assert found.draw(PICTURE).size == (200, 100)


def test_queries() -> None:
    outputs = {"logits": np.array([[[-9, 3], [-20, -15]]], np.float32), "boxes": np.full((1, 2, 4), 0.25, np.float32)}
    found = predictor("detr", outputs, activation="sigmoid").predict(PICTURE)
    np.testing.assert_allclose(found.boxes, [[25, 0, 75, 25]])  # 8..24 of the input, whose rows above 16 are padding
    assert found.classes.tolist() == [1]
    assert len(predictor("detr", outputs, activation="softmax").predict(PICTURE)) == 0  # the last class is no object


def test_pictures_and_embeddings() -> None:
    made = predictor("depth", {"y": np.array([[[1.0, 3.0], [5.0, 5.0]]], np.float32)}).predict(PICTURE)
    assert isinstance(made, Picture) and made.pixels[..., 0].tolist() == [[0, 0.5], [1, 1]]
    assert made.draw(PICTURE).size == (200, 100) and made.to_dict()["made"]["png"]
    one = predictor("embedding", {"y": np.array([[3.0, 4.0]], np.float32)}).predict(PICTURE)
    other = predictor("embedding", {"y": np.array([[4.0, -3.0]], np.float32)}).predict(PICTURE)
    assert isinstance(one, Embedding) and one.similarity(one) == pytest.approx(1) and one.similarity(other) == 0
    with pytest.raises(BadOption, match="cannot be compared"):
        one.similarity(predictor("embedding", {"y": np.ones((1, 3), np.float32)}).predict(PICTURE))


def test_run_lengths_are_those_of_coco() -> None:
    mask = np.zeros((2, 3), bool)
    assert run_lengths(mask)["counts"] == [6]
    mask[0, 0] = mask[1, 2] = True
    assert run_lengths(mask)["counts"] == [0, 1, 4, 1]


def test_an_artefact_without_a_decoder_says_what_to_do() -> None:
    with pytest.raises(BadOption, match="--decoder yolov8"):
        decoder_for_people(None, None, None)
    with pytest.raises(BadOption, match="installed"):
        decoder_for_people(Application(decoder="os:system"), None, None)
    with pytest.raises(BadOption, match="minimum score"):
        decoder_for_people(Application(decoder="scores"), None, 0.5)
    kept = decoder_for_people(Application(decoder="scores", settings={"classes": ["a"]}), "yolov8", None)
    assert kept.classes == ("a",) and kept.min_score == 0.25  # type: ignore[attr-defined]
