"""Runners in several threads, after a fork, and opened and closed without end: right results, nothing left behind.

python bench/robustness/life_cycle.py [--kinds threads,fork,open-close] [--cases N]

A case of `threads` is 100 runs, one of `open-close` 100 loads. What ends with a killed parent is in kills.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import campaign
import numpy as np
from case import Outcome, apart, called

import edgec
from tests.support.life_cycle import WAYS, grown, run_in_fork
from tests.support.models import model, random_weights

WEIGHTS = 4 << 20
"""Bytes of the network's weights, whose leak would be seen."""
THREADS, RUNS, LOADS = 4, 25, 100


def threads(number: int, folder: str) -> Outcome:
    """One runner used by several threads at once, for different inputs."""
    rng = np.random.default_rng(number)
    feeds = [{"x": rng.standard_normal((1, 1024), np.float32)} for _ in range(THREADS)]
    right = []

    def work() -> None:
        with edgec.load(Path(folder), threads=1 + number % 2) as runner, ThreadPoolExecutor(THREADS) as pool:
            expected = [runner.run(each)["y"] for each in feeds]
            found = pool.map(lambda place: runner.run(feeds[place])["y"], list(range(THREADS)) * RUNS)
            right.extend(np.array_equal(each, expected[place % THREADS]) for place, each in enumerate(found))

    ended = called(work)
    return ended.unless("wrong result", true=all(right), message=f"{right.count(False)} of {THREADS * RUNS}")


def fork(number: int, folder: str) -> Outcome:
    """A runner that was used, and one loaded anew, in a forked child; the parent's goes on."""
    feeds = {"x": np.random.default_rng(number).standard_normal((1, 1024), np.float32)}
    right = []

    def work() -> None:
        with edgec.load(Path(folder), threads=1 + number % 2) as runner, tempfile.TemporaryDirectory() as scratch:
            expected = runner.run(feeds)["y"]
            found = [*run_in_fork(runner, Path(folder), feeds, Path(scratch)), runner.run(feeds)["y"]]
            right.extend(np.array_equal(each, expected) for each in found)

    ended = called(work)
    return ended.unless("wrong result", true=all(right), message=str(right))


def open_close(number: int, folder: str) -> Outcome:
    """How a process grows that loads an artefact, runs it and closes it, or lets go of it."""
    left: list[int] = []
    ended = called(lambda: left.extend(grown(Path(folder), WAYS[number % len(WAYS)], LOADS)))
    kept = not left or left[0] >= LOADS * WEIGHTS / 4 or left[1] > 0
    return ended.unless("wrong result", true=not kept, message=f"bytes and threads left: {left}")


def cases(numbers: Iterable[int], name: str) -> Iterator[tuple[int, Outcome]]:
    """Yield how the cases of one kind end, all on one artefact."""
    network = model("g (float[1, 1024] x) => (float[1, 1024] y) { y = MatMul (x, w) }", random_weights(w=(1024, 1024)))
    with tempfile.TemporaryDirectory() as folder:
        made = edgec.compile(network, target="host", output=Path(folder) / "artefact")
        yield from apart(KINDS[name], numbers, patience_s=300.0, folder=str(made.folder))


KINDS = {"threads": threads, "fork": fork, "open-close": open_close}

if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, name=name) for name in KINDS}, 30)
