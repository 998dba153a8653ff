"""How much edgec takes on: what is larger is refused before anything is allocated for it."""

from __future__ import annotations

import os
import re

from edgec.errors import BadOption, UnsupportedModel

VARIABLE = "EDGEC_MAX_MEMORY"
"""Environment variable with the limit of memory, for Python and for workers; `--max-memory` sets it."""
DEFAULT_MEMORY = 4 << 30
"""Bytes that one tensor, or all tensors of one run of ONNX Runtime, may take."""
MOST_NODES = 1 << 17
"""Nodes of a graph once its functions are written out."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def max_memory() -> int:
    """Return the limit in bytes: `VARIABLE`, or 4 GiB.

    Raises:
        BadOption: The variable is not a size.
    """
    return parse_size(os.environ.get(VARIABLE) or str(DEFAULT_MEMORY), VARIABLE)


def parse_size(text: str, source: str) -> int:
    """Return the bytes that `text` says: `8GiB`, `512M`, `1000000`; the units are powers of 1024.

    Raises:
        BadOption: It says nothing like that; names `source`.
    """
    match = SIZE.fullmatch(text.strip())
    size = 0 if match is None else int(float(match[1]) * UNITS[match[2].upper()])
    if size < 1:
        raise BadOption(f"{source}: {text!r} is not a size", remedy="E.g. 8GiB or 512MiB.")
    return size


def check_memory(size: int, what: str) -> None:
    """Refuse what takes more memory than the limit.

    Args:
        size: Bytes.
        what: What takes them, the subject of the message.

    Raises:
        UnsupportedModel: With both sizes, and how to raise the limit.
    """
    limit = max_memory()
    if size > limit:
        raise UnsupportedModel(
            f"{what} takes {size_text(size)}, more than the limit of memory, {size_text(limit)}",
            remedy=f"If that is meant, raise the limit: --max-memory {size_text(size, whole=True)} or more.",
        )


def size_text(size: int, *, whole: bool = False) -> str:
    """Return `size` in bytes for messages, e.g. `4.0 GiB`; as `5GiB`, rounded up, if it is to be `whole`."""
    unit = next((name for name in ("T", "G", "M", "K") if size >= UNITS[name]), "")
    if whole:
        return f"{-(-size // UNITS[unit])}{unit}{'iB' if unit else 'B'}"
    return f"{size / UNITS[unit]:.1f} {unit}iB" if unit else f"{size} bytes"
