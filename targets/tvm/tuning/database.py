"""The database of a tuning run: one measurement per line, append-only, readable after an interruption at any point.

A line counts once it is on the disk. An incomplete line is skipped, and the next run begins a new line.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgec.errors import BadOption, reason
from edgec.whole_file import write_text

LEAST_GAIN = 0.03
"""A choice replaces the default only if it saves at least this share of the time: less is measurement noise."""

BEGIN = b'{"schedules":"'
"""Format version, part of every line."""

Stage = Literal["first", "final", "confirmed"]
Json = dict[str, Any]


class Measurement(BaseModel):
    """One choice compared with the default, in the same network, alternating between both.

    Attributes:
        schedules: `schedule_version()` of the code that made both kernels.
        target: `target_key()` of the board.
        workload: What was computed.
        choice: Rule and plan.
        baseline: The default choice, with which it was compared: another network may have another default for the same
            workload, as Winograd is decided for a network as a whole. None: an older edgec did not record it.
        stage: `first` look, `final` among the best, or `confirmed` together with those of all other layers.
        seconds: Median time of all its kernels in one inference; None: the kernel could not be compiled.
        by_rule: The same time for the default choice.
        ratio: Median of the ratios of both times, which decides. None is a veto: the kernel could not be compiled, or
            the network as a whole was no faster with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedules: str
    target: str
    workload: str
    choice: Json
    baseline: Json | None = None
    stage: Stage
    seconds: float | None
    by_rule: float | None
    ratio: float | None


class Database:
    """Measurements in a file; `append` returns once they are on the disk.

    Args:
        path: The file, which may not exist yet.

    Raises:
        BadOption: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.measurements, self.skipped = _read(path)

    def of(self, target: str, schedules: str) -> list[Measurement]:
        """Return the measurements on `target` with these schedules."""
        return [each for each in self.measurements if each.target == target and not _stale(each, schedules)]

    def stale(self, target: str, schedules: str) -> int:
        """Return how many measurements of `target` were made with other schedules, or without a `baseline`."""
        return sum(each.target == target and _stale(each, schedules) for each in self.measurements)

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Add `measurements`; whole lines that are on the disk on return.

        Raises:
            BadOption: The file cannot be written.
        """
        text = "".join(each.model_dump_json() + "\n" for each in measurements)
        try:
            with self.path.open("a+b") as stream:
                size = stream.seek(0, os.SEEK_END)
                if size:
                    stream.seek(size - 1)
                    # An incomplete line stays a line of its own.
                    text = text if stream.read(1) == b"\n" else "\n" + text
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise BadOption(
                f"cannot write {self.path}: {reason(error)}", remedy="Choose a path that is writable."
            ) from error
        self.measurements += measurements


def typical(ratios: Sequence[float]) -> float:
    """Return the median of a choice's confirmations; infinity if one is a veto."""
    return median(ratios) if all(map(math.isfinite, ratios)) else math.inf


def confirmed(measurements: Iterable[Measurement]) -> dict[str, list[Json]]:
    """Return the choices that all their confirmations found faster than the default, the best one of each workload.

    Workload -> `baseline` and `choice` for every default with which it was compared.
    """
    ratios: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in measurements:
        if each.stage == "confirmed":
            baseline, choice = (json.dumps(one, sort_keys=True) for one in (each.baseline, each.choice))
            ratios[each.workload, baseline][choice].append(each.ratio or math.inf)
    best: dict[str, list[Json]] = defaultdict(list)
    for (workload, baseline), choices in ratios.items():
        ratio, choice = min((typical(found), text) for text, found in choices.items())
        if ratio <= 1 - LEAST_GAIN:
            best[workload].append({"baseline": json.loads(baseline), "choice": json.loads(choice)})
    return dict(best)


def merge(sources: Sequence[Path], output: Path) -> int:
    """Write every measurement of `sources` and of `output`, if it exists, once into `output`; return their number.

    The file is replaced as a whole or not at all.

    Raises:
        BadOption: A source is missing or cannot be read, or `output` cannot be written.
    """
    lines: dict[str, None] = {}
    for source in sources:
        if not source.exists():
            raise BadOption(f"{source}: no such file", remedy="Give the databases that `edgec tune -o` wrote.")
    for source in (*sources, output):
        lines |= dict.fromkeys(each.model_dump_json() for each in _read(source)[0])
    write_text(output, "".join(f"{line}\n" for line in lines))
    return len(lines)


def _stale(measurement: Measurement, schedules: str) -> bool:
    return measurement.schedules != schedules or measurement.baseline is None


def _read(path: Path) -> tuple[list[Measurement], int]:
    """Return the measurements in `path`, and the number of lines that are not measurements."""
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise BadOption(f"cannot read {path}: {reason(error)}", remedy="Give a database of `edgec tune`.") from error
    found, others = [], []
    for line in filter(None, lines):
        try:
            found.append(Measurement.model_validate_json(line))
        except ValidationError:
            others.append(line)
    # The first line may be incomplete after an interruption.
    cut = len(others) == 1 and (others[0].startswith(BEGIN) or BEGIN.startswith(others[0]))
    if others and not found and not cut:
        raise BadOption(f"{path} is not a database of `edgec tune`", remedy="Give the file that `edgec tune -o` wrote.")
    return found, len(others)
