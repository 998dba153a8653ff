"""Extension points: name -> object, found through Python entry points and imported on first use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from edgec.errors import BadOption

GROUPS = {
    "calibrators": "calibrator",
    "channel_operators": "channel operator",
    "codecs": "codec",
    "criteria": "criterion",
    "decoders": "decoder",
    "metrics": "metric",
    "passes": "pass",
    "targets": "target",
}
"""Group of entry points -> what a member of it is called in messages."""
SUGGESTED, SHORTEST_PART = 4, 3
"""Maximum number of names that a message suggests, and minimum length of a part of a name."""


def names(group: str) -> list[str]:
    """Return the sorted names registered in `group` (one of `GROUPS`) without importing anything."""
    return sorted(_entries(group))


def load(group: str, name: str) -> Any:
    """Import and return the object registered as `name` in `group`, or given as `module:attribute`.

    Raises:
        BadOption: The name is unknown (the message lists near matches), or its import fails.
    """
    entry = _entries(group).get(name)
    if entry is None and ":" in name:
        entry = EntryPoint(name, name, f"edgec.{group}")
    if entry is None:
        raise BadOption(f"unknown {GROUPS[group]} {name!r}", remedy=suggest(name, names(group)))
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        own = name == entry.value
        raise BadOption(
            f"{GROUPS[group]} {name!r} cannot be imported{'' if own else f' from {entry.value}'}: {error}",
            remedy="Give module:name of an object that can be imported."
            if own
            else "Reinstall the package that provides it.",
        ) from error


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the names in `known` that contain `name`, else near matches, else all of them."""
    known = sorted(known)
    near = [each for each in known if len(name) >= SHORTEST_PART and name in each] or difflib.get_close_matches(
        name, known, n=SUGGESTED, cutoff=0.5
    )
    if near:
        return f"Did you mean {' or '.join(near[:SUGGESTED])}?"
    return f"Known: {', '.join(known) or 'none'}."


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    if group not in GROUPS:
        raise ValueError(f"no such extension point: {group}")
    return {entry.name: entry for entry in entry_points(group=f"edgec.{group}")}
