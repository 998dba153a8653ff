"""Small data sets on disk, in the forms that edgec reads."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

COCO = {
    "images": [{"id": 7, "file_name": "b.png"}, {"id": 3, "file_name": "a.png"}],
    "categories": [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4], "area": 9.0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 20, 10], "iscrowd": 1},
    ],
}
"""Of two pictures."""
VOC = """<annotation><filename>{name}.png</filename>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>
</annotation>"""


def picture(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    """Write a red picture and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path)
    return path


def write(path: Path, text: str) -> Path:
    """Write text in UTF-8 and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def coco(folder: Path, **changes: object) -> Path:
    """Write `COCO` with some of its tables changed, and its pictures; return the annotation file."""
    picture(folder / "val" / "a.png")
    picture(folder / "val" / "b.png")
    return write(folder / "annotations" / "instances_val.json", json.dumps(COCO | changes))


def voc(folder: Path, text: str = VOC) -> Path:
    """Write one picture and its annotation; return the folder."""
    picture(folder / "JPEGImages" / "a.png")
    write(folder / "Annotations" / "a.xml", text.replace("{name}", "a"))
    return folder


def yolo(folder: Path, label: str = "1 0.5 0.5 0.2 0.4\n") -> Path:
    """Write two pictures, of which one has labels; return the folder."""
    picture(folder / "images" / "val" / "a.png")
    picture(folder / "images" / "val" / "b.png")
    write(folder / "labels" / "val" / "a.txt", label)
    write(folder / "classes.txt", "cat\ndog\n")
    return folder
