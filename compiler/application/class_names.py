"""Class names, from a list or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgec.data.sources.text import read_names, read_text
from edgec.errors import BadOption
from edgec.model.metadata import listed
from edgec.plain_file import parse

FORMS = "Give a,b,c or a file: one name per line, a JSON list, COCO's .json, or a .yaml with `names`."


def read_classes(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names given by `--classes`: a sequence, `a,b,c`, or a file.

    Args:
        given: Names, or text: the path of a .txt or .names file (one name per line), of a .json file (a list, an object
            number -> name, or COCO's with `categories`), of a .yaml file with `names`, or names separated by commas.

    Raises:
        BadOption: The file cannot be read or contains no names, or a name is empty.
        MissingDependency: A .yaml file is given, but PyYAML is not installed.
    """
    if not isinstance(given, str):
        names = tuple(given)
    elif (path := Path(given)).suffix in (".json", ".yaml", ".yml") or path.is_file():
        names = _from_file(path)
    elif path.suffix in (".txt", ".names", ".csv"):
        raise BadOption(f"--classes {given}: no such file", remedy=FORMS)
    else:
        names = tuple(name.strip() for name in given.split(","))
    if not names or not all(names):
        raise BadOption(f"--classes {given}: a name is empty", remedy=FORMS)
    return names


def _from_file(path: Path) -> tuple[str, ...]:
    if path.suffix not in (".json", ".yaml", ".yml"):
        return read_names(path)
    try:
        record = parse("json" if path.suffix == ".json" else "yaml", read_text(path))
    except ValueError as error:
        raise BadOption(f"--classes {path}: {error}", remedy=FORMS) from error
    if isinstance(record, dict) and isinstance(record.get("categories"), list):
        rows = record["categories"]
        try:
            record = [row["name"] for row in sorted(rows, key=lambda row: int(row["id"]))]
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # OverflowError: infinity
            raise BadOption(f"--classes {path}: each category needs an `id` and a `name`", remedy=FORMS) from error
    elif isinstance(record, dict):
        record = record.get("names", record.get("classes", record))
    names = listed(record)
    if not names:
        raise BadOption(f"--classes {path}: it contains no names, numbered from 0", remedy=FORMS)
    return names
