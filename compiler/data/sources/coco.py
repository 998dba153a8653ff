"""COCO object detection annotations (instances_*.json)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from edgec.data.labels import Boxes
from edgec.data.pictures import Entry, Listing
from edgec.data.sources.text import read_text
from edgec.errors import BadOption
from edgec.plain_file import parse


def read_coco(path: Path) -> Listing:
    """List the pictures of a COCO file in the order of their ids; classes are its categories in the order of their ids.

    The pictures are looked up beside the file, in `images/` beside it or beside its folder, and in the folder of the
    split's name beside its folder (annotations/instances_val2017.json -> val2017/).

    Raises:
        BadOption: The file is not such a JSON file, an annotation is wrong (its id is named), or a picture is missing.
    """
    document = _document(path)
    categories = sorted(document["categories"], key=lambda category: category["id"])
    classes = {category["id"]: index for index, category in enumerate(categories)}
    images = sorted(document["images"], key=lambda image: image["id"])
    rows: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in images}
    for annotation in document["annotations"]:
        _check(annotation, classes, rows, path)
        rows[annotation["image_id"]].append(annotation)
    root = _picture_folder(path, images)
    entries = (Entry(root / image["file_name"], _boxes(rows[image["id"]], classes)) for image in images)
    return Listing(tuple(entries), tuple(str(category.get("name", category["id"])) for category in categories))


def _document(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = parse("json", read_text(path))
    except ValueError as error:
        raise BadOption(f"{path}: not JSON: {error}", remedy="Give a COCO annotation file.") from error
    needed = {"images": ("id", "file_name"), "annotations": ("id", "image_id", "category_id"), "categories": ("id",)}
    for table, keys in needed.items():
        rows = document.get(table) if isinstance(document, dict) else None
        if not isinstance(rows, list):
            raise BadOption(f"{path}: no list {table!r}", remedy="Give a COCO annotation file (instances_*.json).")
        for position, row in enumerate(rows):
            missing = [key for key in keys if not isinstance(row, dict) or key not in row]
            if missing:
                raise BadOption(f"{path}: {table}[{position}] has no {missing[0]!r}")
            for key in keys:
                if not isinstance(row[key], str if key == "file_name" else int | float | str):
                    kind = "a text" if key == "file_name" else "a number or a text"
                    raise BadOption(f"{path}: {table}[{position}]: {key} {row[key]!r} is not {kind}")
        if len({isinstance(row["id"], str) for row in rows}) > 1:
            raise BadOption(f"{path}: {table}: some ids are numbers, some texts", remedy="Give all of one kind.")
    result: dict[str, list[dict[str, Any]]] = document
    return result


def _check(annotation: dict[str, Any], classes: dict[Any, int], rows: dict[Any, Any], path: Path) -> None:
    where = f"{path}: annotation {annotation['id']}"
    if annotation["image_id"] not in rows:
        raise BadOption(f"{where}: image {annotation['image_id']} is not in the images")
    if annotation["category_id"] not in classes:
        raise BadOption(f"{where}: category {annotation['category_id']} is not in the categories")
    if not _is_box(annotation.get("bbox")):
        raise BadOption(f"{where}: bbox {annotation.get('bbox')!r} is not [x, y, width, height]")
    area = annotation.get("area")
    if area is not None and not _is_number(area):
        raise BadOption(f"{where}: area {area!r} is not a number")
    outline = annotation.get("segmentation")
    if outline and not _is_outline(outline):
        raise BadOption(f"{where}: segmentation is neither polygons [[x, y, ...], ...] nor run lengths")
    points = annotation.get("keypoints")
    if points is not None and not (isinstance(points, list) and len(points) % 3 == 0 and all(map(_is_number, points))):
        raise BadOption(f"{where}: keypoints are not [x, y, visibility, ...]")


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    return all(map(_is_number, box)) and min(box[2:]) >= 0


def _is_outline(outline: Any) -> bool:
    if isinstance(outline, dict):
        size, counts = outline.get("size"), outline.get("counts")
        fits = isinstance(counts, str) or (isinstance(counts, list) and all(isinstance(run, int) for run in counts))
        return fits and isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)
    polygons = outline if isinstance(outline, list) else [None]
    return all(
        isinstance(each, list) and len(each) >= 6 and len(each) % 2 == 0 and all(map(_is_number, each))
        for each in polygons
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and abs(x) <= sys.float_info.max


def _boxes(annotations: list[dict[str, Any]], classes: dict[Any, int]) -> Boxes:
    corners = [(x, y, x + width, y + height) for x, y, width, height in (row["bbox"] for row in annotations)]
    boxes = Boxes.of(
        corners,
        [classes[row["category_id"]] for row in annotations],
        ignored=[bool(row.get("iscrowd", 0)) for row in annotations],
        areas=[_area(row) for row in annotations],
    )
    outlines = tuple(row.get("segmentation") or None for row in annotations)
    return replace(boxes, outlines=outlines if any(outlines) else (), points=_points(annotations))


def _points(annotations: list[dict[str, Any]]) -> np.ndarray[Any, Any] | None:
    """Return the key points of all objects, unknown ones where an object has none; None where no object has any."""
    rows = [row.get("keypoints") or [] for row in annotations]
    count = max(map(len, rows), default=0)
    if not count:
        return None
    filled = [row + [0] * (count - len(row)) for row in rows]
    return np.array(filled, np.float64).reshape(len(rows), count // 3, 3)


def _area(annotation: dict[str, Any]) -> float:
    area = annotation.get("area")
    return float(annotation["bbox"][2] * annotation["bbox"][3] if area is None else area)


def _picture_folder(path: Path, images: list[dict[str, Any]]) -> Path:
    if not images:
        raise BadOption(f"{path} lists no pictures")
    for image in images:
        name = PurePath(image["file_name"])
        if name.is_absolute() or ".." in name.parts:
            problem = f"{path}: picture {image['file_name']!r} lies outside the folder"
            raise BadOption(problem, remedy="Give names of files in the folder of the pictures.")
    folder, first = path.parent, images[0]["file_name"]
    candidates = (folder, folder / "images", folder.parent / "images", folder.parent / path.stem.rpartition("_")[2])
    for candidate in candidates:
        if (candidate / first).is_file():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise BadOption(f"{path}: picture {first} is in none of {looked}", remedy="Put the pictures into one of these.")
