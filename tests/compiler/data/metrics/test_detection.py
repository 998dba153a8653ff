"""mAP equals pycocotools', on random and degenerate detections."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgec.data.decoders.boxes import PlainBoxes
from edgec.data.labels import Boxes
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.errors import BadOption, MissingDependency

SIZE = (640, 480)
CLASSES = ("cat", "dog", "cow")
DECODER = PlainBoxes(min_score=0, max_detections=1000, classes=CLASSES)

Rows = np.ndarray  # [n, 6]: x0, y0, x1, y1, score, class


def measure(name: str, truth: list[Boxes], found: list[Rows]) -> MetricResult:
    metric = make_metric(name, MetricContext(DECODER, CLASSES))
    for index, (label, rows) in enumerate(zip(truth, found, strict=True)):
        outputs = {"boxes": rows.astype(np.float32)}
        metric.update(outputs, Sample(str(index), {}, label, Placement.identity(SIZE)))
    return metric.result()


def reference(truth: list[Boxes], found: list[Rows]) -> COCOeval:
    """Let pycocotools judge; categories and images are numbered from 1."""

    def xywh(box: np.ndarray) -> list[float]:
        x0, y0, x1, y1 = np.float64(box).tolist()
        return [x0, y0, x1 - x0, y1 - y0]

    annotations = [
        {"image_id": image, "category_id": int(k) + 1, "bbox": xywh(box), "area": area, "iscrowd": int(skip)}
        for image, label in enumerate(truth, start=1)
        for box, k, area, skip in zip(label.boxes, label.classes, label.areas, label.ignored, strict=True)
    ]
    results = [
        {"image_id": image, "category_id": int(row[5]) + 1, "bbox": xywh(row[:4]), "score": float(row[4])}
        for image, rows in enumerate(found, start=1)
        for row in rows.astype(np.float32)
    ]
    document = {
        "images": [{"id": image} for image in range(1, len(truth) + 1)],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)],
        "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = document
        coco.createIndex()
        predictions = coco.loadRes(results) if results else COCO()
        run = COCOeval(coco, predictions, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.random((count, 2)) * [500, 380]
    size = np.exp(rng.uniform(np.log(6), np.log(200), (count, 2)))
    return np.minimum(np.concatenate([corner, corner + size], axis=1), [*SIZE, *SIZE]).astype(np.float32)


def scene(rng: np.random.Generator, count: int, *, shift: float, ties: bool) -> tuple[Boxes, Rows]:
    """Objects of three classes, some ignored; detections near them, doubled, missing, misnamed or invented."""
    truth = boxes(rng, count)
    classes = rng.integers(0, len(CLASSES), count)
    found = np.concatenate([truth, truth[: count // 2], boxes(rng, 5)])
    found = found + rng.standard_normal(found.shape) * shift * np.ptp(found[:, [0, 2]], axis=1)[:, None]
    found = np.clip(
        np.concatenate([np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])], 1), 0, 480
    )
    labels = np.concatenate([classes, classes[: count // 2], rng.integers(0, len(CLASSES), 5)])
    labels[::7] = 0
    scores = rng.integers(1, 4, len(found)) / 4 if ties else rng.random(len(found))
    rows = np.concatenate([found, scores[:, None], labels[:, None]], axis=1)
    return Boxes.of(truth, classes, ignored=rng.random(count) < 0.15), rows[rng.random(len(rows)) < 0.9]


def scenes(seed: int, pictures: int, **how: object) -> tuple[list[Boxes], list[Rows]]:
    rng = np.random.default_rng(seed)
    pairs = [scene(rng, int(rng.integers(0, 12)), **how) for _ in range(pictures)]  # type: ignore[arg-type]
    return [truth for truth, _ in pairs], [found for _, found in pairs]


NOTHING = np.zeros((0, 6))


def cases() -> dict[str, tuple[list[Boxes], list[Rows]]]:
    truth, found = scenes(3, 20, shift=0.02, ties=False)
    far = [np.concatenate([np.full((3, 4), [600, 440, 620, 470]), np.ones((3, 2))], axis=1)] * 20
    other = [np.concatenate([rows[:, :5], (rows[:, 5:] + 1) % 3], axis=1) for rows in found]
    one = [Boxes.of(t.boxes, np.zeros(len(t.boxes))) for t in truth]
    exact = [np.concatenate([t.boxes, np.ones((len(t.boxes), 1)), t.classes[:, None]], axis=1) for t in truth]
    rng = np.random.default_rng(5)
    crowd = np.concatenate([boxes(rng, 400), rng.random((400, 1)), rng.integers(0, 3, (400, 1))], axis=1)
    return {
        "random": scenes(0, 40, shift=0.03, ties=False),
        "rough": scenes(1, 40, shift=0.2, ties=False),
        "ties": scenes(2, 40, shift=0.05, ties=True),
        "exact": (truth, exact),
        "no detections": (truth, [NOTHING] * 20),
        "no detections in most pictures": (truth, [*found[:4], *[NOTHING] * 16]),
        "nothing hit": (truth, far),
        "wrong classes": (truth, other),
        "one class": (one, [np.concatenate([r[:, :5], np.zeros((len(r), 1))], axis=1) for r in found]),
        "one picture, one box": ([Boxes.of([[10, 20, 60, 90]], [2])], [np.array([[12, 20, 60, 90, 0.5, 2]])]),
        "more than 100 detections of a class": ([Boxes.of(crowd[::3, :4], crowd[::3, 5])], [crowd]),
        "detections of nothing": ([*truth, Boxes.of([], [])], [*found, crowd[:5]]),
    }


@pytest.mark.parametrize("case", cases())
def test_equals_pycocotools(case: str) -> None:
    truth, found = cases()[case]
    expected = reference(truth, found)
    result = measure("map", truth, found)
    assert result.value == pytest.approx(expected.stats[0], abs=1e-6)
    assert "map" not in result.details
    for name, index in {"map50": 1, "map75": 2, "small": 3, "medium": 4, "large": 5}.items():
        assert result.details.get(name, -1) == pytest.approx(expected.stats[index], abs=1e-6), name
    precision = expected.eval["precision"][:, :, :, 0, -1]
    by_class = {name: precision[:, :, k] for k, name in enumerate(CLASSES)}
    known = {name: p[p > -1].mean() for name, p in by_class.items() if (p > -1).any()}
    assert result.details["per class"] == pytest.approx(known, abs=1e-6)
    half = measure("map50", truth, found)
    assert half.value == pytest.approx(expected.stats[1], abs=1e-6)
    known = {name: p[0][p[0] > -1].mean() for name, p in by_class.items() if (p[0] > -1).any()}
    assert half.details["per class"] == pytest.approx(known, abs=1e-6)


def test_data_without_boxes_is_refused() -> None:
    """pycocotools says -1."""
    truth = [Boxes.of([], []), Boxes.of([[1, 2, 30, 40]], [0], ignored=[True])]
    assert reference(truth, [NOTHING, NOTHING]).stats[0] == -1
    with pytest.raises(BadOption, match="no boxes"):
        measure("map", truth, [NOTHING, NOTHING])


def test_classes_are_matched_by_name() -> None:
    metric = make_metric("map50", MetricContext(DECODER, classes=("cow",)))
    rows = np.array([[10, 20, 60, 90, 0.9, 2]], np.float32)
    metric.update({"boxes": rows}, Sample("a", {}, Boxes.of(rows[:, :4], [0]), Placement.identity(SIZE)))
    assert metric.result().details["per class"] == pytest.approx({"cow": 1.0})


@pytest.mark.parametrize("label", [1, -1])
def test_a_label_beyond_the_names_is_refused_where_it_is_seen(label: int) -> None:
    metric = make_metric("map", MetricContext(DECODER, classes=("cow",)))
    sample = Sample("a.png", {}, Boxes.of([[10, 20, 60, 90]], [label]), Placement.identity(SIZE))
    with pytest.raises(BadOption, match=rf"a\.png is of class {label}, but the data has 1 class names"):
        metric.update({"boxes": NOTHING}, sample)


def test_the_library_is_asked_for_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingDependency, match="pip install 'faster-coco-eval"):
        make_metric("map", MetricContext(DECODER))


def test_a_decoder_is_needed_and_must_give_boxes() -> None:
    from edgec.data.decoders.scores import Scores

    with pytest.raises(BadOption, match="--decoder"):
        make_metric("map")
    with pytest.raises(BadOption, match="decoder scores returns scores"):
        make_metric("map", MetricContext(Scores()))
