"""PASCAL VOC annotations: one XML file per picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from edgec.data.labels import Boxes
from edgec.data.pictures import PICTURE_SUFFIXES, Entry, Listing
from edgec.data.sources.folder import CLASSES_FILE
from edgec.data.sources.text import read_names
from edgec.errors import BadOption, reason
from edgec.registry import suggest

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def is_voc(folder: Path) -> bool:
    """Whether `folder` is laid out as VOC (Annotations/) or contains XML files beside its pictures."""
    return (folder / "Annotations").is_dir() or any(folder.glob("*.xml"))


def read_voc(folder: Path) -> Listing:
    """List the annotated pictures in `folder`, in the order of the XML files' names.

    The XML files lie in Annotations/ with the pictures in JPEGImages/, or both lie in the folder itself. Classes are
    the lines of classes.txt there, or else the names that occur, sorted. Coordinates are taken as they are written;
    objects marked as difficult are ignored.

    Raises:
        BadOption: A file is not a VOC annotation (file, object and value are named), or its picture is missing.
    """
    annotations = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    files = sorted(annotations.glob("*.xml"))
    if not files:
        raise BadOption(f"folder {annotations} contains no XML files")
    parsed = [(path, _parse(path)) for path in files]
    found = sorted({_name(item, path) for path, root in parsed for item in root.iter("object")})
    listed = folder / CLASSES_FILE
    classes = read_names(listed) if listed.is_file() else tuple(found)
    for name in found:
        if name not in classes:
            raise BadOption(f"{listed} lacks the class {name!r}", remedy=suggest(name, classes))
    return Listing(
        tuple(Entry(_picture(path, root, folder), _boxes(path, root, classes)) for path, root in parsed), classes
    )


def _parse(path: Path) -> ElementTree.Element:
    try:
        data = path.read_bytes()
        _refuse_doctype(data, path)
        return ElementTree.fromstring(data)
    # The last two are for a multi-byte encoding (gb2312, Shift_JIS), and for an unknown encoding.
    except (OSError, ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise BadOption(f"{path}: {reason(error)}", remedy="Give a VOC annotation file, in UTF-8.") from error


def _refuse_doctype(data: bytes, path: Path) -> None:
    """Parse without building a tree; entities, with which XML bombs work, can only be declared in a DOCTYPE."""

    def refuse(*_: object) -> None:
        raise BadOption(f"{path}: line {parser.CurrentLineNumber}: a DOCTYPE is not supported", remedy="Remove it.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)


def _name(item: ElementTree.Element, path: Path) -> str:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise BadOption(f"{path}: an object has no name")
    return name


def _boxes(path: Path, root: ElementTree.Element, classes: tuple[str, ...]) -> Boxes:
    items = list(root.iter("object"))
    boxes = [_corners(item, path) for item in items]
    difficult = [(item.findtext("difficult") or "0").strip() == "1" for item in items]
    return Boxes.of(boxes, [classes.index(_name(item, path)) for item in items], ignored=difficult)


def _corners(item: ElementTree.Element, path: Path) -> list[float]:
    texts = [item.findtext(f"bndbox/{corner}") for corner in CORNERS]
    try:
        x0, y0, x1, y1 = (float(text or "") for text in texts)
    except ValueError:
        raise BadOption(f"{path}: object {_name(item, path)!r}: bndbox {texts} is not {', '.join(CORNERS)}") from None
    if not (x0 <= x1 and y0 <= y1):
        raise BadOption(f"{path}: object {_name(item, path)!r}: bndbox {texts} is inside out")
    return [x0, y0, x1, y1]


def _picture(path: Path, root: ElementTree.Element, folder: Path) -> Path:
    names = [(root.findtext("filename") or "").strip(), *(path.stem + suffix for suffix in PICTURE_SUFFIXES)]
    for place in (folder / "JPEGImages", path.parent, folder):
        for name in filter(None, names):
            if (place / name).is_file():
                return place / name
    raise BadOption(f"{path}: its picture {names[0] or path.stem} is not in {folder / 'JPEGImages'} or beside it")
