"""One command of edgec on a hostile input: how it ended, how long it took and how much memory."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

NETWORK = "g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) { c = Conv (x, w)  y = Relu (c) }"
"""A small one, with weights w of [4, 3, 1, 1]."""
PATIENCE_S = 60.0
MOST_BYTES = 4 << 30
ODD = ("traceback", "dead or hanging", "over 4 GiB")


@dataclass(frozen=True)
class Outcome:
    """Of one case; `kind` is `done`, `refused` or one of `ODD`."""

    kind: str
    message: str
    seconds: float = 0.0
    megabytes: float = 0.0


def command(*arguments: object) -> Outcome:
    """Run `edgec ARGUMENTS` in this process, which `isolated` replaces where it dies."""
    from edgec.cli import main  # noqa: PLC0415  # the process is spawned

    warnings.filterwarnings("ignore")
    sys.argv = ["edgec", *map(str, arguments)]
    said, began = io.StringIO(), time.perf_counter()
    kind, message = "done", ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            kind = "done" if not stop.code else "refused" if stop.code == 2 else "failed"
            message = said.getvalue()[-300:]
        except BaseException:
            kind, message = "traceback", traceback.format_exc()[-1500:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if peak > MOST_BYTES and kind != "traceback":
        kind = "over 4 GiB"
    return Outcome(kind, message, time.perf_counter() - began, peak / (1 << 20))


def tell(name: str, outcomes: Iterable[tuple[object, Outcome | str]]) -> Counter[str]:
    """Print odd cases with their seeds, then a line of figures; return the counts."""
    counts: Counter[str] = Counter()
    slowest = largest = 0.0
    for seed, found in outcomes:
        outcome = Outcome("dead or hanging", found) if isinstance(found, str) else found
        counts[outcome.kind] += 1
        slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.megabytes)
        if outcome.kind in ODD:
            print(f"{name} {seed}: {outcome.kind}: {outcome.message}", flush=True)
    ended = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    odd = sum(counts[kind] for kind in ODD)
    print(
        f"{name}: {counts.total()} cases: {ended}; odd: {odd}; slowest {slowest:.1f} s, largest {largest:.0f} MiB",
        flush=True,
    )
    return counts


def leftovers(folder: Path) -> list[str]:
    """Return what is left of scratch folders in `folder`."""
    return sorted(each.name for each in folder.iterdir() if re.match(r"\..*\.tmp", each.name))


def descendants() -> set[int]:
    """Return the processes whose session is that of a child of this one, but for this one."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = each.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(each.parent.name))
    return found
