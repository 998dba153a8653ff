"""The command line of these scripts: cases of some kinds by number, a line of figures each, results to go on with."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from case import Outcome

Cases = Callable[[Iterable[int]], Iterator[tuple[int, Outcome]]]
"""Given numbers of cases, yields each with how it ended; it may end before them."""
LONGEST = 300
"""Letters of a message that are kept."""


@dataclass
class Tally:
    """What was run of one kind.

    Attributes:
        cases: How many: those numbered 0 to here.
        ended: How they ended, and how many each.
        odd: Number of a case -> what is wrong.
        mended: How many were odd and, run again after a change, were not.
        slowest_s: Seconds of the slowest.
        largest_mib: Peak of the memory of a process that ran cases.
    """

    cases: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    odd: dict[str, str] = field(default_factory=dict)
    mended: int = 0
    slowest_s: float = 0.0
    largest_mib: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Count a case, anew where it was odd."""
        before = self.odd.pop(str(number), None)
        if before is not None:
            self.ended[before.partition(":")[0]] -= 1
            self.mended += not outcome.odd
        self.ended[outcome.kind] += 1
        self.ended += Counter()  # without zeros
        self.cases = max(self.cases, number + 1)
        self.slowest_s = round(max(self.slowest_s, outcome.seconds), 1)
        self.largest_mib = round(max(self.largest_mib, outcome.megabytes))
        if outcome.odd:
            self.odd[str(number)] = f"{outcome.kind}: {outcome.message[-LONGEST:]}"

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {kind}" for kind, count in self.ended.most_common())
        mended = f" ({self.mended} mended)" if self.mended else ""
        return (
            f"{self.cases} cases: {ended}; odd: {len(self.odd)}{mended}; slowest {self.slowest_s:.1f} s, "
            f"largest {self.largest_mib:.0f} MiB"
        )


class _Clock:
    """Seconds from the first case that has ended: until then programs and artefacts are made."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._began, self._late = limit_s, 0.0, False

    def until_late(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield numbers while there is time; who takes one after the other can then look at what they left together."""
        for number in numbers:
            if self._late:
                return
            yield number

    def is_late_again(self) -> bool:
        """Tell that a case has ended; return whether time was over before it, so that someone else has to stop."""
        self._began = self._began or time.monotonic()
        before, self._late = self._late, time.monotonic() - self._began > self._limit_s
        return before


def read_tallies(path: Path) -> dict[str, dict[str, Tally]]:
    """Return what a file of results holds, by script and kind."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {script: {kind: tally_of(record) for kind, record in kinds.items()} for script, kinds in content.items()}


def keep(path: Path, script: str, kind: str, tally: Tally) -> None:
    """Put a tally into a file of results, which is read anew: another script may have written in the meantime."""
    tallies = read_tallies(path)
    tallies.setdefault(script, {})[kind] = tally
    records = {name: {kind: vars(each) for kind, each in found.items()} for name, found in tallies.items()}
    path.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def tally_of(record: Mapping[str, Any]) -> Tally:
    """Return the tally that `record` is of."""
    return Tally(**{**record, "ended": Counter(record["ended"])})


def run(document: str, kinds: Mapping[str, Cases], cases: int) -> None:
    """Read the command line, run what it asks for, print odd cases and a line of figures a kind; exit 1 if any is odd.

    Args:
        document: The script's own.
        kinds: By name, in the order in which they are run.
        cases: How many of each by default.
    """
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(kinds), help="of cases; default: all")
    parser.add_argument("--cases", type=int, default=cases, help="of each kind")
    parser.add_argument("--case", type=int, help="this one alone, by its number")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="begin no case of a kind after so long")
    parser.add_argument("--results", type=Path, help="file of results: go on behind its cases, and add to it")
    parser.add_argument("--again", action="store_true", help="only those of its cases that were odd")
    options = parser.parse_args()
    script, odd = Path(sys.argv[0]).stem, 0
    for kind in options.kinds.split(","):
        tallies = read_tallies(options.results) if options.results else {}
        tally = tallies.setdefault(script, {}).setdefault(kind, Tally())
        numbers: Iterable[int] = range(tally.cases, tally.cases + options.cases)
        if options.case is not None or options.again:
            numbers = [options.case] if options.case is not None else [int(number) for number in tally.odd]
        clock = _Clock(options.limit_s)
        for number, outcome in kinds[kind](clock.until_late(numbers)):
            tally.add(number, outcome)
            if outcome.odd or options.case is not None:
                print(f"{kind} {number}: {outcome.kind}: {outcome.message}", flush=True)
            if clock.is_late_again():
                break
        odd += len(tally.odd)
        print(f"{script}, {kind}: {tally}", flush=True)
        if options.results:
            keep(options.results, script, kind, tally)
    sys.exit(odd > 0)
