"""Outputs for every decoder, the C++ program on them, and a comparison of what it says with what Python says."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgec.application.predictor import decoder_for_people
from edgec.application.record import Application
from edgec.application.results.read import read_result
from edgec.artefact.files import write_sums
from edgec.data.decoders.base import Decoder
from edgec.data.preprocess import place_picture, read_picture
from edgec.data.samples import Sample
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

Array = np.ndarray[Any, Any]

SIZE = (48, 32)
"""Of the network's input, width and height."""
LETTERS = ["a", "b", "ü", '"', "\\", "中"]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "boxes": ("boxes", {}),
    "boxes in three outputs": ("boxes", {"boxes": "out0", "scores": "out2", "labels": "out1"}),
    "boxes in four outputs": (
        "boxes",
        {"boxes": "out0", "scores": "out1", "labels": "out2", "count": "out3", "shares": True, "rows_first": True},
    ),
    "boxes, shares": ("boxes", {"centred": True, "shares": True}),
    "centernet": ("centernet", {"logits": True, "classes": ["ring", "cross", "star"]}),
    "class-map": ("class-map", {}),
    "class-map of integers": ("class-map", {"classes": ["road", "sky", "tree"]}),
    "class-map of one": ("class-map", {"threshold": 0.5}),
    "ctc": ("ctc", {"characters": LETTERS}),
    "dbnet": ("dbnet", {}),
    "depth": ("depth", {}),
    "detr": ("detr", {"activation": "softmax"}),
    "detr, named": ("detr", {"scores": "out1", "boxes": "out0", "activation": "none"}),
    "embedding": ("embedding", {}),
    "picture": ("picture", {"range": "byte", "colour": "bgr"}),
    "picture, channels last": ("picture", {"range": "symmetric"}),
    "scores": ("scores", {"logits": True, "classes": ["a", "b", "c", "d", "e", "f", "g"]}),
    "ssd": ("ssd", {"logits": True, "max_overlap": 0.3}),
    "ssd with priors": ("ssd", {"priors": [[0.1 + 0.013 * k, 0.5, 0.2, 0.3] for k in range(60)]}),
    "yolov3": (
        "yolov3",
        {
            "outputs": [
                {"name": "out1", "stride": 8, "anchors": [[10, 13]]},
                {"name": "out0", "stride": 16, "anchors": [[30, 20], [7.5, 40]]},
            ]
        },
    ),
    "yolov5": ("yolov5", {"max_detections": 7}),
    "yolov8": ("yolov8", {"max_overlap": 1.0}),
    "yolov8-obb": ("yolov8-obb", {}),
    "yolov8-pose": ("yolov8-pose", {"points": 5}),
    "yolov8-pose of 2 values": ("yolov8-pose", {"points": 3, "values": 2}),
    "yolov8-seg": ("yolov8-seg", {"masks": 4, "min_score": 0.4}),
    "yolox": ("yolox", {"strides": [8, 16]}),
}
"""Name -> decoder and its settings."""


def outputs_of(case: str, rng: np.random.Generator) -> dict[str, Array]:
    """Return outputs as the decoder of `case` reads them: boxes of all sizes, some outside of the input, some alike."""
    scores = rng.uniform(0, 1, (60, 3))
    centred = np.concatenate([rng.uniform(-5, 50, (60, 2)), rng.uniform(1, 40, (60, 2))], axis=1)
    rows = np.concatenate([centred, scores], axis=1)
    corners = np.concatenate([centred[:, :2], centred[:, :2] + centred[:, 2:], scores[:, :1], [[2.0]] * 60], axis=1)
    objectness = rng.uniform(0.3, 1, (60, 1))
    made: dict[str, Any] = {
        "boxes": [corners],
        "boxes in three outputs": [corners[:, :4], rng.integers(0, 3, 60), corners[:, 4]],
        "boxes in four outputs": [
            corners[None, :, :4] / 64,
            corners[None, :, 4],
            corners[None, :, 5],
            np.array([7.0]),
        ],
        "boxes, shares": [corners / [64, 64, 64, 64, 1, 1]],
        "centernet": [rng.normal(0, 1, (1, 3, 8, 12)), *rng.uniform(0, 1, (2, 1, 2, 8, 12)) * [[[[[6]]]], [[[[1]]]]]],
        "class-map": [rng.normal(0, 1, (1, 4, 8, 12))],
        "class-map of integers": [rng.integers(0, 3, (1, 16, 24))],
        "class-map of one": [rng.uniform(0, 1, (1, 1, 8, 12))],
        "ctc": [rng.normal(0, 1, (1, 20, 2 + len(LETTERS)))],
        "dbnet": [text_map(rng)],
        "depth": [rng.normal(2, 3, (1, 10, 14))],
        "detr": [rng.normal(0, 2, (1, 60, 3)), rng.uniform(0.1, 0.9, (1, 60, 4))],
        "detr, named": [rng.uniform(0.1, 0.9, (1, 60, 4)), rng.uniform(0, 1, (1, 60, 4))],
        "embedding": [rng.normal(0, 1, (1, 16, 1, 1))],
        "picture": [rng.uniform(-20, 280, (1, 3, 12, 20))],
        "picture, channels last": [rng.uniform(-1.1, 1.1, (1, 12, 20, 1))],
        "scores": [rng.normal(0, 2, (1, 7))],
        "ssd": [rng.normal(0, 1, (1, 60, 4)), rng.normal(0, 2, (1, 60, 4)), rng.uniform(0.1, 0.9, (1, 60, 4))],
        "ssd with priors": [rng.normal(0, 1, (1, 60, 4)), rng.uniform(0, 1, (1, 60, 4))],
        "yolov3": [rng.normal(0, 1, (1, 16, 2, 3)), rng.normal(0, 1, (1, 8, 4, 6))],
        "yolov5": [np.concatenate([centred, objectness, scores], axis=1)[None]],
        "yolov8": [rows.T[None]],
        "yolov8-obb": [np.concatenate([rows, rng.uniform(-1, 3, (60, 1))], axis=1).T[None]],
        "yolov8-pose": [np.concatenate([rows, rng.uniform(-5, 50, (60, 15))], axis=1).T[None]],
        "yolov8-pose of 2 values": [np.concatenate([rows, rng.uniform(-5, 50, (60, 6))], axis=1).T[None]],
        "yolov8-seg": [
            np.concatenate([rows, rng.normal(0, 1, (60, 4))], axis=1).T[None],
            rng.normal(0, 1, (1, 4, 8, 12)),
        ],
        "yolox": [np.concatenate([rng.normal(0, 1, (1, 30, 4)), rng.uniform(0.3, 1, (1, 30, 4))], axis=2)],
    }
    arrays = [np.asarray(array) for array in made[case]]
    return {
        f"out{index}": array if array.dtype.kind == "i" else np.float32(array) for index, array in enumerate(arrays)
    }


def text_map(rng: np.random.Generator) -> Array:
    """Return a map [1, 1, 32, 48] with slanted lines of probable text, one of which touches the border."""
    ys, xs = np.meshgrid(np.arange(32), np.arange(48), indexing="ij")
    probability = rng.uniform(0, 0.2, (32, 48))
    for x, y, slope in ((10, 6, 0.13), (26, 16, -0.21), (36, 27, 0.0)):
        line = (np.abs(ys - y - slope * (xs - x)) < 2.5) & (np.abs(xs - x) < 12)
        probability[line] = rng.uniform(0.7, 1, line.sum())
    return probability[None, None]


def write_manifest(
    folder: Path, how: Preprocessing, outputs: dict[str, Array] | dict[str, tuple[int, ...]], application: Any = None
) -> TensorSpec:
    """Write what the C++ program reads of an artefact; return its input. Outputs are given as arrays or as shapes."""
    channels = 1 if how.colour == "grey" else 3
    shape = (1, channels, *SIZE[::-1]) if how.layout == "NCHW" else (1, *SIZE[::-1], channels)
    port = {"name": "im age", "dtype": "float32", "shape": shape}
    arrays = {
        name: given if isinstance(given, np.ndarray) else np.zeros(given, np.float32) for name, given in outputs.items()
    }
    manifest = {
        "options": {"measuring": {"preprocess": how.model_dump(mode="json")}},
        "application": application,
        "inputs": [port],
        "outputs": [{"name": name, "dtype": array.dtype.name, "shape": array.shape} for name, array in arrays.items()],
        "runtime": {"names": {"im age": "im_age"} | {name: f"{name}_bound" for name in outputs}},
    }
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    write_sums(folder, ())
    return TensorSpec(name="im age", shape=shape, dtype="float32")


def prepare(case: str, folder: Path, pictures: list[Path], how: Preprocessing, seed: int) -> list[dict[str, Any]]:
    """Write into `folder` outputs for each of `pictures`, and a manifest; return what Python says of each."""
    kind, settings = CASES[case]
    decoder = decoder_for_people(Application(decoder=kind, settings=settings), None, None)
    wanted = []
    for number, path in enumerate(pictures):
        outputs = outputs_of(case, np.random.default_rng(seed + number))
        if number == 0:
            spec = write_manifest(folder, how, outputs, {"decoder": kind, "settings": settings})
        for index, array in enumerate(outputs.values()):
            array.astype(np.float32).tofile(folder / f"{path.stem}.{index}.f32")
        wanted.append({"picture": path.name, **said(decoder, outputs, path, spec, how)})
    return wanted


def said(decoder: Decoder, outputs: dict[str, Array], path: Path, spec: TensorSpec, how: Preprocessing) -> Any:
    """Return what Python's decoder says of the picture in `path`."""
    picture = read_picture(path)
    _, placement = place_picture(picture, spec, how)
    sample = Sample(path.name, {}, None, placement)
    return read_result(decoder, decoder(outputs, sample), picture.size).to_dict()


def distances(found: Any, wanted: Any, key: str = "") -> dict[str, float]:
    """Return the largest difference by what the numbers are: `pixels`, `scores`, `mask` (share of other pixels) ...

    Raises:
        AssertionError: Something else differs: a name, a class, a number of objects.
    """
    if key in ("mask", "rle"):
        inner = pixels_of(wanted)
        return {"mask": float((pixels_of(found) != inner).sum() / max(inner.sum(), 100))}
    if key == "png":
        pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each))), int) for each in (found, wanted)]
        assert pictures[0].shape == pictures[1].shape
        return {"levels": float(np.abs(pictures[0] - pictures[1]).max())}
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        return largest(distances(found[name], wanted[name], name) for name in wanted)
    if isinstance(wanted, list):
        assert len(found) == len(wanted), (key, len(found), len(wanted))
        return largest(distances(one, other, key) for one, other in zip(found, wanted, strict=True))
    if isinstance(wanted, float):
        unit = "pixels" if key in ("box", "corners", "points") else "scores"
        return {unit: abs(found - wanted)}
    assert found == wanted, (key, found, wanted)
    return {}


def largest(several: Any) -> dict[str, float]:
    """Return the largest number under each key."""
    result: dict[str, float] = {}
    for each in several:
        for key, value in each.items():
            result[key] = max(value, result.get(key, 0.0))
    return result


def pixels_of(runs: dict[str, list[int]]) -> Array:
    """Return the mask that run lengths stand for."""
    counts = runs["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(runs["size"], order="F")


TOLERANCES = {"pixels": 0.5, "scores": 1e-4, "mask": 1e-3, "levels": 1.0}
