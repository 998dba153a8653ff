"""Limits on the size of what edgec works on: anything larger is refused before memory is allocated for it."""

from __future__ import annotations

import os
import re

from edgec.errors import BadOption, UnsupportedModel

VARIABLE = "EDGEC_MAX_MEMORY"
"""Environment variable with the memory limit, for Python and worker processes; `--max-memory` sets it."""
DEFAULT_MEMORY = 4 << 30
"""Number of bytes that one tensor, or all tensors of one run of ONNX Runtime, may take."""
MOST_NODES = 1 << 17
"""Maximum number of nodes of a graph after its functions are inlined."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def max_memory() -> int:
    """Return the memory limit in bytes: the value of `VARIABLE`, or 4 GiB.

    Raises:
        BadOption: The variable is not a size.
    """
    return parse_size(os.environ.get(VARIABLE) or str(DEFAULT_MEMORY), VARIABLE)


def parse_size(text: str, source: str) -> int:
    """Return the number of bytes that `text` stands for: `8GiB`, `512M`, `1000000`; units are powers of 1024.

    Raises:
        BadOption: `text` is not a size; the message names `source`.
    """
    match = SIZE.fullmatch(text.strip())
    size = 0 if match is None else int(float(match[1]) * UNITS[match[2].upper()])
    if size < 1:
        raise BadOption(f"{source}: {text!r} is not a size", remedy="Give a size such as 8GiB or 512MiB.")
    return size


def check_memory(size: int, what: str) -> None:
    """Raise an error if something takes more memory than the limit.

    Args:
        size: Size in bytes.
        what: What has this size, as the subject of the message.

    Raises:
        UnsupportedModel: The size is above the limit; the message names both, and how to raise the limit.
    """
    limit = max_memory()
    if size > limit:
        raise UnsupportedModel(
            f"{what} takes {size_text(size)}, which is more than the memory limit of {size_text(limit)}",
            remedy=f"If this size is right, raise the limit: --max-memory {size_text(size, whole=True)} or more.",
        )


def size_text(size: int, *, whole: bool = False) -> str:
    """Return `size` in bytes for messages, e.g. `4.0 GiB`; with `whole`, rounded up, e.g. `5GiB`."""
    unit = next((name for name in ("T", "G", "M", "K") if size >= UNITS[name]), "")
    if whole:
        return f"{-(-size // UNITS[unit])}{unit}{'iB' if unit else 'B'}"
    return f"{size / UNITS[unit]:.1f} {unit}iB" if unit else f"{size} bytes"
