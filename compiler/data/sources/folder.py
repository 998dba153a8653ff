"""A folder of pictures, whose sub-folders are the classes."""

from __future__ import annotations

from pathlib import Path

from edgec.data.labels import ClassLabel
from edgec.data.pictures import Entry, Listing, find_pictures
from edgec.data.sources.text import read_names
from edgec.errors import BadOption
from edgec.registry import suggest

CLASSES_FILE = "classes.txt"


def read_folder(folder: Path) -> Listing:
    """List the pictures in `folder`: labelled if they lie in sub-folders, not labelled if they lie in it directly.

    The classes are numbered in the order of `classes.txt` in the folder if it exists, in numeric order if all
    sub-folders are numbers (then the number is the class), else in alphabetical order.

    Hidden files and folders are ignored.

    Raises:
        BadOption: There are no pictures, some lie in sub-folders and some do not, classes.txt lacks a sub-folder, or
            an empty sub-folder makes the numbers of the classes ambiguous.
    """
    paths = find_pictures(folder)
    loose = [path for path in paths if path.parent == folder]
    if len(loose) == len(paths):
        return Listing(tuple(Entry(path) for path in paths))
    if loose:
        remedy = "Move every picture into the sub-folder of its class."
        raise BadOption(f"folder {folder} has sub-folders of classes, but {loose[0].name} is in none", remedy=remedy)
    names = [path.relative_to(folder).parts[0] for path in paths]
    classes = _classes(folder, sorted(set(names)))
    entries = (Entry(path, ClassLabel(classes[name])) for path, name in zip(paths, names, strict=True))
    numbered = all(name == str(index) for name, index in classes.items())
    return Listing(tuple(entries), () if numbered else tuple(classes))


def _classes(folder: Path, names: list[str]) -> dict[str, int]:
    listed = folder / CLASSES_FILE
    if listed.is_file():
        known = {name: index for index, name in enumerate(read_names(listed))}
        for name in names:
            if name not in known:
                raise BadOption(f"{listed} lacks the class of sub-folder {name!r}", remedy=suggest(name, known))
        return known
    if all(
        name.isascii() and name.isdigit() and str(int(name)) == name for name in names
    ):  # as text, "10" would come before "2"
        return {name: int(name) for name in names}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name not in names:
            remedy = f"Remove it, or list the classes in {listed}, in the network's order."
            raise BadOption(f"sub-folder {path} contains no pictures, so it is unclear if it is a class", remedy=remedy)
    return {name: index for index, name in enumerate(names)}
