"""Optional parts of edgec: the command that installs what one needs, whether edgec itself came from an index or not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import requires

NESTED = re.compile(r"edgec\[([\w,]+)\]")


def install(extra: str) -> str:
    """Return the `pip install` command for the packages of an extra of edgec, such as `tvm`."""
    return f"pip install {shlex.join(_requirements(extra))}"


def _requirements(extra: str) -> Iterator[str]:
    for each in requires("edgec") or ():
        requirement, _, marker = each.partition(";")
        if f'extra == "{extra}"' not in marker.replace("'", '"'):
            continue
        nested = NESTED.fullmatch(requirement.strip().replace(" ", ""))
        if nested is None:
            yield requirement.strip()
        else:
            for name in nested[1].split(","):
                yield from _requirements(name)
