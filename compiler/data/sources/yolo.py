"""YOLO text labels: one .txt per picture, one line per object: class, centre x, y, width, height as fractions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgec.data.labels import Boxes
from edgec.data.pictures import Entry, Listing, find_pictures
from edgec.data.sources.folder import CLASSES_FILE
from edgec.data.sources.text import numbered_lines, read_names, read_text
from edgec.errors import BadOption, MissingDependency
from edgec.plain_file import parse

DATA_FILE = "data.yaml"


def is_yolo(folder: Path) -> bool:
    """Whether `folder` is a YOLO data set, or a folder of pictures inside one."""
    beside = any(path.name != CLASSES_FILE for path in folder.glob("*.txt")) and (folder / CLASSES_FILE).is_file()
    return beside or (folder / DATA_FILE).is_file() or (folder / "labels").is_dir() or _labels_folder(folder).is_dir()


def read_yolo(path: Path) -> Listing:
    """List the pictures of a YOLO data set.

    Args:
        path: data.yaml (its `val` split, or else its `test` or `train` split), or a folder: that of the data set, or
            one with pictures in it. Labels lie beside the pictures, or in labels/ if the pictures are in images/.
            Class names come from data.yaml or classes.txt there or up to two folders above.

    Raises:
        BadOption: A label file is wrong (the message names file and line), or there are no pictures.
        MissingDependency: data.yaml has to be read, but PyYAML is missing.
    """
    if path.is_file():
        settings = _read_yaml(path)
        pictures, classes = _split(path, settings), _names(settings.get("names"), path)
    elif (path / DATA_FILE).is_file():
        return read_yolo(path / DATA_FILE)
    else:
        pictures = find_pictures(path / "images" if (path / "images").is_dir() else path)
        classes = _classes_near(path)
    entries = (Entry(picture, _boxes(_label_file(picture), classes)) for picture in pictures)
    return Listing(tuple(entries), classes)


def _boxes(path: Path, classes: tuple[str, ...]) -> Boxes:
    if not path.is_file():  # a picture without objects has no label file
        return Boxes.of([], [], relative=True)
    boxes, kinds = [], []
    for number, line in numbered_lines(path):
        try:
            kind, x, y, width, height = line.split()
            index, (cx, cy, w, h) = int(kind), (float(x), float(y), float(width), float(height))
        except ValueError:
            raise BadOption(f"{path}: line {number}: {line.strip()!r} is not `class x y width height`") from None
        if index < 0 or (classes and index >= len(classes)):
            raise BadOption(f"{path}: line {number}: class {index} is not one of the {len(classes)} classes")
        if not (0 <= cx <= 1 and 0 <= cy <= 1 and 0 <= w <= 1 and 0 <= h <= 1):
            raise BadOption(f"{path}: line {number}: {line.strip()!r} has values outside 0..1, the picture's size")
        boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
        kinds.append(index)
    return Boxes.of(boxes, kinds, relative=True)


def _label_file(picture: Path) -> Path:
    folder = _labels_folder(picture.parent)
    return (folder if folder.is_dir() else picture.parent) / f"{picture.stem}.txt"


def _labels_folder(pictures: Path) -> Path:
    """Return `pictures` with its last component `images` replaced by `labels`, even if that folder does not exist."""
    parts = pictures.parts
    places = [index for index, part in enumerate(parts) if part == "images"]
    if not places:
        return pictures / "labels"
    return Path(*parts[: places[-1]], "labels", *parts[places[-1] + 1 :])


def _classes_near(folder: Path) -> tuple[str, ...]:
    for place in (folder, *list(folder.absolute().parents)[:2]):
        if (place / CLASSES_FILE).is_file():
            return read_names(place / CLASSES_FILE)
        if (place / DATA_FILE).is_file():
            return _names(_read_yaml(place / DATA_FILE).get("names"), place / DATA_FILE)
    return ()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = parse("yaml", read_text(path))
    except MissingDependency as error:
        remedy = f"{error.remedy}, or put the names into classes.txt, one a line."
        raise MissingDependency(f"PyYAML is needed to read {path}", remedy=remedy) from error
    except ValueError as error:
        raise BadOption(f"{path}: {error}", remedy="Give a YOLO data.yaml.") from error
    if not isinstance(settings, dict):
        raise BadOption(f"{path} is not a YOLO data.yaml", remedy="It needs `names` and `val`.")
    return settings


def _split(path: Path, settings: dict[str, Any]) -> list[Path]:
    root = path.parent / str(settings.get("path") or "")
    for split in ("val", "test", "train"):
        given = settings.get(split)
        if given:
            places = [root / str(place) for place in (given if isinstance(given, list) else [given])]
            return [picture for place in places for picture in _pictures_at(place, path, split)]
    raise BadOption(f"{path} names no pictures", remedy="Give it a key `val`: a folder or list of pictures.")


def _pictures_at(place: Path, path: Path, split: str) -> Iterable[Path]:
    if place.is_dir():
        return find_pictures(place)
    if place.is_file():
        return [place.parent / line.strip() for _, line in numbered_lines(place)]
    raise BadOption(f"{path}: {split}: {place} does not exist")


def _names(names: Any, path: Path) -> tuple[str, ...]:
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise BadOption(f"{path}: `names` is not a list of class names", remedy="Give e.g. names: [cat, dog].")
    return tuple(str(name) for name in names)
