"""Each detector head, encoded from known boxes by its own formulas, gives these boxes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.data.decoders.boxes import PlainBoxes
from edgec.data.decoders.centernet import Centernet
from edgec.data.decoders.detections import DetectionDecoder, Detections, overlaps, suppress
from edgec.data.decoders.read import read_decoder
from edgec.data.decoders.ssd import Ssd
from edgec.data.decoders.yolov3 import Yolov3
from edgec.data.decoders.yolov5 import Yolov5
from edgec.data.decoders.yolov8 import Yolov8
from edgec.data.decoders.yolox import Yolox
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.errors import BadOption

WIDTH, HEIGHT = 128, 96
SAMPLE = Sample("a", {}, None, Placement.identity((WIDTH, HEIGHT)))

BOXES = np.array([[10, 20, 50, 60], [70, 5, 100, 85], [90, 50, 126, 90], [11, 22, 52, 61]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
LABELS = np.array([1, 0, 2, 1])
KEPT = slice(0, 3)  # the last overlaps the first, of its class

Outputs = Mapping[str, np.ndarray]


def centred() -> np.ndarray:
    return np.concatenate([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]], axis=1)


def one_hot() -> np.ndarray:
    return np.eye(3, dtype=np.float32)[LABELS]


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


def yolov3() -> tuple[DetectionDecoder, Outputs]:
    anchors = [((20, 20), (40, 60)), ((50, 30), (30, 80))]
    maps = [np.full((2, 8, HEIGHT // s, WIDTH // s), -20.0, np.float32) for s in (8, 16)]
    for index, (cx, cy, w, h) in enumerate(centred()):
        scale, anchor = index % 2, index // 2
        stride = (8, 16)[scale]
        column, row = int(cx // stride), int(cy // stride)
        xy = logit(np.array([cx / stride - column, cy / stride - row]))
        wh = np.log(np.array([w, h]) / anchors[scale][anchor])
        cell = np.concatenate([xy, wh, logit(SCORES[index : index + 1]), logit(one_hot()[index])])
        maps[scale][anchor, :, row, column] = cell
    record = [{"name": f"m{k}", "stride": (8, 16)[k], "anchors": anchors[k]} for k in (0, 1)]
    decoder = Yolov3.model_validate({"outputs": record})
    return decoder, {f"m{k}": maps[k].reshape(1, 16, *maps[k].shape[2:]) for k in (1, 0)}


def yolov5() -> tuple[DetectionDecoder, Outputs]:
    rows = np.concatenate([centred(), np.ones((4, 1)), one_hot() * SCORES[:, None]], axis=1)
    return Yolov5(), {"y": rows[None].astype(np.float32)}


def yolov8() -> tuple[DetectionDecoder, Outputs]:
    rows = np.concatenate([centred(), one_hot() * SCORES[:, None]], axis=1)
    return Yolov8(output="y"), {"x": np.zeros((1, 3)), "y": rows.T[None].astype(np.float32)}


def yolox() -> tuple[DetectionDecoder, Outputs]:
    grids = [np.zeros((HEIGHT // s, WIDTH // s, 8), np.float32) for s in (8, 16, 32)]
    for index, (cx, cy, w, h) in enumerate(centred()):
        scale = (0, 1, 2, 1)[index]
        stride = (8, 16, 32)[scale]
        column, row = int(cx // stride), int(cy // stride)
        box = [cx / stride - column, cy / stride - row, np.log(w / stride), np.log(h / stride)]
        grids[scale][row, column] = [*box, SCORES[index], *one_hot()[index]]
    return Yolox(), {"y": np.concatenate([grid.reshape(-1, 8) for grid in grids])[None]}


def ssd() -> tuple[DetectionDecoder, Outputs]:
    rng = np.random.default_rng(0)
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    priors = centred() / size + rng.uniform(-0.02, 0.02, (4, 4))
    shares = centred() / size
    offsets = (shares[:, :2] - priors[:, :2]) / 0.1 / priors[:, 2:]
    scales = np.log(shares[:, 2:] / priors[:, 2:]) / 0.2
    scores = np.concatenate([1 - SCORES[:, None], one_hot() * SCORES[:, None]], axis=1)
    outputs = {
        "priors": priors,
        "scores": np.log(np.maximum(scores, 1e-9))[None],
        "boxes": np.hstack([offsets, scales])[None],
    }
    decoder = Ssd(boxes="boxes", scores="scores", priors="priors", logits=True)
    return decoder, {name: array.astype(np.float32) for name, array in outputs.items()}


def centernet() -> tuple[DetectionDecoder, Outputs]:
    heat = np.zeros((3, HEIGHT // 4, WIDTH // 4), np.float32)
    sizes, offsets = np.zeros((2, 2, *heat.shape[1:]), np.float32)
    for index in range(3):
        cx, cy, w, h = centred()[index] / 4
        row, column = int(cy), int(cx)
        heat[LABELS[index], row, column] = SCORES[index]
        heat[LABELS[index], row, column + 1] = SCORES[index] - 0.1  # beside the peak
        sizes[:, row, column], offsets[:, row, column] = (w, h), (cx - column, cy - row)
    return Centernet(), {"heat": heat[None], "sizes": sizes[None], "offsets": offsets[None]}


def plain() -> tuple[DetectionDecoder, Outputs]:
    rows = np.concatenate([BOXES, SCORES[:, None], LABELS[:, None]], axis=1)[2::-1]
    return PlainBoxes(), {"y": rows.astype(np.float32)}


HEADS = (yolov3, yolov5, yolov8, yolox, ssd, centernet, plain)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_gives_the_encoded_boxes_back(head: Any) -> None:
    decoder, outputs = head()
    found = decoder(outputs, SAMPLE)
    np.testing.assert_allclose(found.boxes, BOXES[KEPT], atol=1e-3)
    np.testing.assert_allclose(found.scores, SCORES[KEPT], atol=1e-6)
    np.testing.assert_array_equal(found.labels, LABELS[KEPT])
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("head", HEADS)
def test_boxes_are_in_pixels_of_the_original_picture(head: Any) -> None:
    decoder, outputs = head()
    placement = Placement((64, 48), (WIDTH, HEIGHT), (2.0, 2.0), (0.0, 0.0))
    found = decoder(outputs, Sample("a", {}, None, placement))
    np.testing.assert_allclose(found.boxes, BOXES[KEPT] / 2, atol=1e-3)


@pytest.mark.parametrize("head", HEADS)
def test_outputs_that_are_no_numbers_give_nothing(head: Any) -> None:
    decoder, outputs = head()
    broken = {name: np.full_like(array, np.nan) for name, array in outputs.items()}
    with np.errstate(invalid="ignore"):
        assert len(decoder(broken, SAMPLE).boxes) == 0


@pytest.mark.parametrize("head", HEADS)
def test_outputs_of_another_network_are_refused(head: Any) -> None:
    decoder, outputs = head()
    strange = {name: np.zeros((1, 7, 3, 2, 2), np.float32) for name in outputs}
    with pytest.raises(BadOption, match="decoder"):
        decoder(strange, SAMPLE)


def test_settings_limit_what_is_found() -> None:
    decoder, outputs = yolov8()

    def labels(**settings: float) -> list[int]:
        return list(decoder.model_copy(update=settings)(outputs, SAMPLE).labels)

    assert labels() == [1, 0, 2]
    assert labels(max_overlap=1.0) == [1, 0, 2, 1]
    assert labels(min_score=0.75) == [1, 0]
    assert labels(max_detections=1) == [1]


def test_boxes_of_other_classes_do_not_suppress() -> None:
    boxes = np.repeat(BOXES[:1], 3, axis=0)
    kept = suppress(boxes, np.array([0.5, 0.9, 0.9]), np.array([0, 1, 0]), 0.5, 100)
    assert kept.tolist() == [1, 2]  # of equal scores, the first comes first


def test_many_boxes_are_suppressed_as_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    middle, half = rng.uniform(0, 60, (300, 2)), rng.uniform(0, 15, (300, 2))
    boxes = np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)
    scores, labels = rng.random(300), rng.integers(0, 3, 300)
    left, expected = np.argsort(-scores, kind="stable").tolist(), []
    while left:
        best, *left = left
        expected.append(best)
        clash = overlaps(boxes[[best]], boxes[left])[0] > 0.4
        left = [box for box, bad in zip(left, clash, strict=True) if not (bad and labels[box] == labels[best])]
    assert suppress(boxes, scores, labels, 0.4, 300).tolist() == expected
    assert suppress(boxes, scores, labels, 0.4, 20).tolist() == expected[:20]


def test_a_sample_that_is_no_picture_is_refused() -> None:
    decoder, outputs = yolov5()
    with pytest.raises(BadOption, match="picture"):
        decoder(outputs, Sample("a", {}))


def test_priors_from_a_file(tmp_path: Path) -> None:
    decoder, outputs = ssd()
    np.save(tmp_path / "priors.npy", outputs["priors"])
    filed = decoder.model_copy(update={"priors": str(tmp_path / "priors.npy")})
    np.testing.assert_array_equal(filed(outputs, SAMPLE).boxes, decoder(outputs, SAMPLE).boxes)
    with pytest.raises(BadOption, match=r"no\.npy"):
        decoder.model_copy(update={"priors": "no.npy"})(outputs, SAMPLE)
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, priors=outputs["priors"])
    with pytest.raises(BadOption, match=r"archive\.npy"):
        decoder.model_copy(update={"priors": str(tmp_path / "archive.npy")})(outputs, SAMPLE)


# Records --------------------------------------------------------------------------------------------------------------


def test_records_and_names(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"decoder": "yolox", "strides": [8], "input": {"height": 3}}))
    (tmp_path / "a.toml").write_text('decoder = "yolov8"\nclasses = ["cat"]\n')
    assert read_decoder(str(tmp_path / "a.json")) == Yolox(strides=(8,))
    assert read_decoder(str(tmp_path / "a.toml")) == Yolov8(classes=("cat",))
    assert read_decoder("yolox,strides=4/8,min_score=0.25") == Yolox(strides=(4, 8), min_score=0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("yolov4", "Did you mean yolov"),
        ("yolov8,min_scores=1", "Did you mean min_score"),
        ("yolov8,min_score=2", "min_score"),
        ("yolov8,min_score", "not key=value"),
        ("yolov3", "outputs is missing"),
        ("yolox,strides=0/8", "strides.0 must be greater than or equal to 1"),
        ("list_of_names.json", r"unknown decoder \['yolox'\]"),
        ("no.json", r"no\.json"),
        ("broken.json", r"broken\.json.*line 1"),
        ("list.json", "not a record"),
        ("broken.toml", r"broken\.toml.*line 1"),
    ],
)
def test_wrong_records_are_refused(given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    Path("list_of_names.json").write_text('{"decoder": ["yolox"]}')
    Path("broken.toml").write_text("a\nb")
    with pytest.raises(BadOption, match=message):
        read_decoder(given)


# The demo detector ----------------------------------------------------------------------------------------------------


def test_yolov3_is_the_examples_decoder_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).parents[4] / "examples" / "detector"
    monkeypatch.syspath_prepend(str(example))
    import decode as theirs

    settings = theirs.Settings.load(example / "detector.json")
    decoder = read_decoder(str(example / "detector.json"))
    assert decoder.classes == settings.classes
    rng = np.random.default_rng(0)
    channels = 3 * (5 + len(settings.classes))
    height, width = settings.size
    sample = Sample("a", {}, None, Placement.identity((width, height)))
    for strength, min_score in ((1.0, 0.5), (4.0, 0.9)):  # high scores only: theirs is slow on thousands
        outputs = {
            name: (rng.standard_normal((1, channels, height // s, width // s)) * strength).astype(np.float32)
            for name, s in zip(settings.outputs, settings.strides, strict=True)
        }
        expected = theirs.decode([outputs[name][0] for name in settings.outputs], settings, min_score=min_score)
        found: Detections = decoder.model_copy(update={"min_score": min_score})(outputs, sample)
        assert len(found.boxes) > 20
        for mine, its in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, its)
