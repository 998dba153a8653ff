"""What exporters write into a model's metadata: class names and the size of pictures."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any


def names_in_metadata(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the class names under `names` (a dict or list in Python or JSON, as Ultralytics writes it) or `classes`.

    Returns:
        The names by class index; empty if there are none or they cannot be read.
    """
    for key in ("names", "classes"):
        if key in metadata:
            names = listed(parsed(metadata[key]))
            if names:
                return names
    return ()


def parsed(text: str) -> Any:
    """Return the value of `text`, read as Python or JSON, or None."""
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def picture_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the height and width under `imgsz` in the metadata, as Ultralytics writes it."""
    said = parsed(metadata.get("imgsz", ""))
    if isinstance(said, int):
        said = [said, said]
    if isinstance(said, (list, tuple)) and len(said) == 2 and all(isinstance(side, int) and side > 0 for side in said):
        return int(said[0]), int(said[1])
    return None


def listed(record: Any) -> tuple[str, ...]:
    """Return names given as a list, or as a mapping from the numbers 0, 1, 2 ...; otherwise an empty tuple."""
    if isinstance(record, dict):
        try:
            numbered = {int(number): name for number, name in record.items()}
        except (TypeError, ValueError, OverflowError):  # OverflowError: infinity
            return ()
        if sorted(numbered) != list(range(len(numbered))):
            return ()
        record = [numbered[number] for number in range(len(numbered))]
    if not isinstance(record, (list, tuple)):
        return ()
    return tuple(str(name) for name in record) if all(isinstance(name, (str, int)) for name in record) else ()
