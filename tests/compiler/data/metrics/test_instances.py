"""mAP of masks and of key points equals pycocotools'; and labels that lack either are refused."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgec.data.decoders.base import Decoder
from edgec.data.decoders.yolov8_pose import Poses, Yolov8Pose
from edgec.data.decoders.yolov8_seg import Instances, Patch, Yolov8Seg
from edgec.data.labels import Boxes
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.data.sources.coco import read_coco
from edgec.errors import BadOption

WIDTH, HEIGHT, POINTS = 120, 90, 17
PICTURES, OBJECTS = 6, 5


class FoundSeg(Yolov8Seg):
    def __call__(self, outputs: Any, sample: Sample) -> Any:
        return outputs["found"]


class FoundPose(Yolov8Pose):
    def __call__(self, outputs: Any, sample: Sample) -> Any:
        return outputs["found"]


def triangles(rng: np.random.Generator) -> list[list[float]]:
    """Return a polygon for each object."""
    corners = rng.uniform([5, 5], [WIDTH - 35, HEIGHT - 35], (OBJECTS, 1, 2)) + rng.uniform(0, 30, (OBJECTS, 3, 2))
    return corners.reshape(OBJECTS, 6).round(2).tolist()


def pixels_of(polygon: list[float]) -> np.ndarray:
    return run_lengths.decode(run_lengths.merge(run_lengths.frPyObjects([polygon], HEIGHT, WIDTH))).astype(bool)


def around(polygon: list[float]) -> list[float]:
    xs, ys = polygon[::2], polygon[1::2]
    return [min(xs), min(ys), max(xs), max(ys)]


def judged(
    kind: str, truth: list[list[dict[str, Any]]], found: list[list[dict[str, Any]]], sigmas: Any = None
) -> float:
    """Return pycocotools' mAP."""
    document = {
        "images": [{"id": image, "width": WIDTH, "height": HEIGHT} for image in range(PICTURES)],
        "categories": [{"id": number} for number in range(2)],
        "annotations": [
            {"id": 1 + image * OBJECTS + k, "image_id": image, **row}
            for image in range(PICTURES)
            for k, row in enumerate(truth[image])
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = document
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes([{"image_id": i, **row} for i in range(PICTURES) for row in found[i]]), kind)
        if sigmas is not None:
            run.params.kpt_oks_sigmas = sigmas
        run.evaluate(), run.accumulate(), run.summarize()
    return float(run.stats[0])


def measured(name: str, decoder: Decoder, labels: list[Boxes], found: list[Any]) -> float:
    metric = make_metric(name, MetricContext(decoder, ("a", "b")))
    for image, (label, said) in enumerate(zip(labels, found, strict=True)):
        metric.update({"found": said}, Sample(str(image), {}, label, Placement.identity((WIDTH, HEIGHT))))
    return metric.result().value


def test_masks() -> None:
    rng = np.random.default_rng(0)
    truth, results, labels, found = [], [], [], []
    for _ in range(PICTURES):
        polygons, classes = triangles(rng), rng.integers(0, 2, OBJECTS).tolist()
        areas = [float(pixels_of(each).sum()) for each in polygons]
        boxes = [around(each) for each in polygons]
        truth.append(
            [
                {
                    "category_id": k,
                    "segmentation": [p],
                    "area": a,
                    "iscrowd": 0,
                    "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
                }
                for p, k, a, b in zip(polygons, classes, areas, boxes, strict=True)
            ]
        )
        labels.append(replace(Boxes.of(boxes, classes, areas=areas), outlines=tuple([p] for p in polygons)))
        masks = [np.roll(pixels_of(each), rng.integers(0, 2, 2), axis=(0, 1)) for each in polygons]
        scores = rng.uniform(0.1, 1, OBJECTS).astype(np.float32)
        patches = tuple(Patch(10, 4, mask[4:, 10:]) for mask in masks)
        for mask in masks:
            mask[:4], mask[:, :10] = False, False
        results.append(
            [
                {"category_id": k, "score": float(s), "segmentation": run_lengths.encode(np.asfortranarray(m))}
                for k, s, m in zip(classes, scores, np.array(masks, np.uint8), strict=True)
            ]
        )
        found.append(Instances(np.array(boxes, np.float32), scores, np.array(classes), patches))
    value = measured("map-masks", FoundSeg(classes=("a", "b")), labels, found)
    assert 0.1 < value < 0.95
    assert value == pytest.approx(judged("segm", truth, results), abs=1e-9)
    nothing = [
        each._replace(boxes=each.boxes[:0], scores=each.scores[:0], labels=each.labels[:0], patches=())
        for each in found
    ]
    assert measured("map-masks", FoundSeg(classes=("a", "b")), labels, nothing) == 0


@pytest.mark.parametrize("count", [17, 5])
def test_key_points(count: int) -> None:
    rng = np.random.default_rng(1)
    truth, results, labels, found = [], [], [], []
    for _ in range(PICTURES):
        points = rng.uniform(10, 80, (OBJECTS, count, 3))
        points[..., 2] = rng.integers(0, 3, (OBJECTS, count))
        corners = np.concatenate([points[..., :2].min(axis=1), points[..., :2].max(axis=1)], axis=1)
        areas = ((corners[:, 2:] - corners[:, :2]).prod(axis=1) / 2).tolist()
        truth.append([
            {
                "category_id": 0, "keypoints": p.ravel().tolist(), "num_keypoints": int((p[:, 2] > 0).sum()), "area": a,
                "iscrowd": 0, "bbox": [c[0], c[1], c[2] - c[0], c[3] - c[1]],
            }
            for p, a, c in zip(points, areas, corners.tolist(), strict=True)
        ])  # fmt: skip
        labels.append(replace(Boxes.of(corners, [0] * OBJECTS, areas=areas), points=points))
        moved = points.copy()
        moved[..., :2] += rng.normal(0, 3, (OBJECTS, count, 2))
        moved, scores = moved.astype(np.float32), rng.uniform(0.1, 1, OBJECTS).astype(np.float32)
        results.append(
            [
                {"category_id": 0, "score": float(s), "keypoints": p.astype(float).ravel().tolist()}
                for s, p in zip(scores, moved, strict=True)
            ]
        )
        found.append(Poses(corners.astype(np.float32), scores, np.zeros(OBJECTS, np.int64), moved))
    value = measured("map-keypoints", FoundPose(points=count), labels, found)
    sigmas = None if count == 17 else np.full(count, 1 / count)
    assert 0.1 < value < 0.99
    assert value == pytest.approx(judged("keypoints", truth, results, sigmas), abs=1e-9)
    if count == 5:
        with pytest.raises(BadOption, match="5 key points, others 17"):
            other = found[0]._replace(points=np.zeros((OBJECTS, 17, 3), np.float32))
            measured("map-keypoints", FoundPose(), labels[:1], [other])


def test_labels_without_masks_or_points_are_refused() -> None:
    label = Boxes.of([[0, 0, 5, 5]], [0])
    with pytest.raises(BadOption, match="without outlines"):
        measured("map-masks", FoundSeg(), [label], [None])
    with pytest.raises(BadOption, match="no key points"):
        measured("map-keypoints", FoundPose(), [label], [None])
    with pytest.raises(BadOption, match="needs instances"):
        make_metric("map-masks", MetricContext(FoundPose()))


def annotated(folder: Path, **fields: Any) -> Path:
    Image.new("RGB", (20, 20)).save(folder / "p.png")
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], **fields}
    plain = {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    document = {"images": [{"id": 1, "file_name": "p.png"}], "categories": [{"id": 1}], "annotations": [row, plain]}
    (folder / "a.json").write_text(json.dumps(document))
    return folder / "a.json"


def test_outlines_and_points_are_read_from_coco(tmp_path: Path) -> None:
    outline = [[1, 2, 4, 2, 4, 6.5]]
    label = read_coco(annotated(tmp_path, segmentation=outline, keypoints=[1, 2, 2, 0, 0, 0])).entries[0].label
    assert isinstance(label, Boxes) and label.outlines == (outline, None) and label.points is not None
    assert label.points.tolist() == [[[1, 2, 2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    runs = {"size": [20, 20], "counts": [0, 5, 395]}
    label = read_coco(annotated(tmp_path, segmentation=runs)).entries[0].label
    assert isinstance(label, Boxes) and label.outlines == (runs, None) and label.points is None
    label = read_coco(annotated(tmp_path, segmentation=[])).entries[0].label
    assert isinstance(label, Boxes) and label.outlines == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"segmentation": [[1, 2, 3]]}, "segmentation is neither"),
        ({"segmentation": {"counts": [1]}}, "segmentation is neither"),
        ({"segmentation": "x"}, "segmentation is neither"),
        ({"keypoints": [1, 2]}, "keypoints are not"),
    ],
)
def test_annotations_that_are_wrong_are_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=f"annotation 1: {message}"):
        read_coco(annotated(tmp_path, **fields))
