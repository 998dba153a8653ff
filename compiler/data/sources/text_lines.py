"""Text recognition lists: `path<TAB>text`, one line per picture."""

from __future__ import annotations

from pathlib import Path

from edgec.data.labels import Text
from edgec.data.pictures import Entry, Listing
from edgec.data.sources.text import numbered_lines
from edgec.errors import BadOption


def read_text_lines(path: Path) -> Listing:
    """List the pictures named in `path`, relative to its folder, with the text that each shows.

    Raises:
        BadOption: The file cannot be read, or a line has no tab or names no file (the message gives its number).
    """
    entries = []
    for number, line in numbered_lines(path):
        name, tab, text = line.partition("\t")
        if not tab:
            raise BadOption(f"{path}: line {number}: {line!r} is not `path<TAB>text`")
        picture = path.parent / name.strip()
        if not picture.is_file():
            raise BadOption(f"{path}: line {number}: picture {picture} does not exist")
        entries.append(Entry(picture, Text(text)))
    return Listing(tuple(entries))
