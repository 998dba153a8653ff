"""One case of an attack on edgec: how it ended, how long it took and how much memory."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from workers import isolated  # noqa: E402  # beside this folder

NETWORK = "g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) { c = Conv (x, w)  y = Relu (c) }"
"""A small one, with weights w of [4, 3, 1, 1]."""
PATIENCE_S = 60.0
MOST_BYTES = 4 << 30
LONGEST_LINE = 200
ENDS_WITHIN_S = 2.0
"""After its parent was killed."""
ODD = ("traceback", "died or hung", "over 4 GiB", "wrong result", "half-made", "processes left", "files left")


@dataclass(frozen=True)
class Outcome:
    """Of one case; `kind` is `done`, `refused`, what else is no fault, or one of `ODD`."""

    kind: str
    message: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def odd(self) -> bool:
        """Whether it is a fault of edgec."""
        return self.kind in ODD

    def unless(self, kind: str, *, true: bool, message: str = "") -> Outcome:
        """Return it where `true` holds, or where it is odd already; else with `kind` for what is wrong."""
        return self if true or self.odd else replace(self, kind=kind, message=f"{message}; {self.message}")


def command(*arguments: object) -> Outcome:
    """Run `edgec ARGUMENTS` in this process; its message is what it printed, the last of it."""
    from edgec.cli import main  # noqa: PLC0415  # the process is spawned

    sys.argv = ["edgec", *map(str, arguments)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        ended = called(main)
    return replace(ended, message=said.getvalue()[-3000:]) if ended.kind in ("done", "refused", "failed") else ended


def called(work: Callable[[], object]) -> Outcome:
    """Call `work` in this process and return how it ended: by itself, by an error in words, or by a traceback."""
    from edgec.errors import EdgecError  # noqa: PLC0415

    warnings.filterwarnings("ignore")
    began, kind, message = time.perf_counter(), "done", ""
    try:
        work()
    except SystemExit as stop:
        kind = "done" if not stop.code else "refused" if stop.code == 2 else "failed"
    except EdgecError as error:
        kind, message = "refused", error.problem
    except BaseException:
        lines = traceback.format_exc().splitlines()
        kind, message = "traceback", "\n".join(line[:LONGEST_LINE] for line in lines)[-1500:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    measured = Outcome(kind, message, time.perf_counter() - began, peak / (1 << 20))
    measured = measured.unless("died or hung", true=measured.seconds <= PATIENCE_S)
    return measured.unless("over 4 GiB", true=peak <= MOST_BYTES)


def apart(
    work: Callable[..., Outcome], seeds: Iterable[int], *, patience_s: float = PATIENCE_S, **given: object
) -> Iterator[tuple[int, Outcome]]:
    """Yield `work(seed, **given)` for each seed, from a process that is replaced where it dies or hangs."""
    for seed, found in isolated(partial(work, **given), seeds, patience_s):
        yield seed, Outcome("died or hung", found) if isinstance(found, str) else found


def copy_tools(folder: Path) -> None:
    """Copy the user's cache, except for networks, to a cache in `folder`: its programs take minutes to build."""
    from edgec.targets.tvm.cache import cache_folder  # noqa: PLC0415

    ignored = shutil.ignore_patterns("compiled", "tensorrt*", "python36", "zoo")
    if cache_folder().exists():
        shutil.copytree(cache_folder(), folder / cache_folder().name, ignore=ignored)


def leftovers(folder: Path) -> list[str]:
    """Return what is left of scratch folders in `folder`."""
    return sorted(each.name for each in folder.iterdir() if re.match(r"\..*\.tmp", each.name))


def processes(mark: str) -> list[int]:
    """Return the processes whose environment holds `mark`, but for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in place.read_bytes() and int(place.parent.name) != os.getpid():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def outlived(mark: str) -> list[int]:
    """Return the processes with `mark` that are still there after `ENDS_WITHIN_S`."""
    until = time.monotonic() + ENDS_WITHIN_S
    while processes(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return processes(mark)
