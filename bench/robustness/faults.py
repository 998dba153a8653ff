"""Each write, flush, rename and child process of `compile` fails once, as on a full disk; nothing half-made is left.

python bench/robustness/faults.py [--kinds host,jetson-tx2] [--cases N]

The calls that can fail come in a random order, so that some of them tell of all.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import campaign
from case import NETWORK, Outcome, apart, command, leftovers

import edgec
from edgec.errors import EdgecError
from edgec.targets.tvm.cache import cache_folder
from tests.support.hostile.faults import faults
from tests.support.models import model, random_weights, saved

PATIENCE_S = 600.0
COUNT = -1


def run(number: int, folder: str, target: str) -> Outcome:
    """Compile a network that the cache does not know, call `number` failing; `COUNT`: tell how many there are."""
    place = Path(folder)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    network = saved(model(NETWORK, random_weights(1000 + number, w=(4, 3, 1, 1))), place / f"model{number}.onnx")
    out = place / f"out{number}"
    with faults(None if number == COUNT else number) as told:
        outcome = command("compile", network, "--target", target, "-o", out, "-q")
    if number == COUNT:
        return Outcome(outcome.kind, str(told.calls))
    where = f"call {number}, {told.where}"
    if out.exists():  # also one that was complete before its evidence could not be written
        try:
            artefact = edgec.Artefact.open(out)
            outcome = outcome.unless("wrong result", true=target != "host" or artefact.verify().ok, message=where)
        except EdgecError as error:
            outcome = outcome.unless("half-made", true=False, message=f"{where}: {error}")
    else:
        outcome = outcome.unless("half-made", true=outcome.kind != "done", message=f"{where}: no output")
    left = [name for name in leftovers(place) if name.startswith(f".{out.name}.")]
    shutil.rmtree(out, ignore_errors=True)
    return outcome.unless("files left", true=not left, message=f"{where}: {left}")


def cases(numbers: Iterable[int], target: str) -> Iterator[tuple[int, Outcome]]:
    """Yield what comes of each failing call."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").mkdir()
        if cache_folder().exists():  # with the runner, which takes minutes to build
            ignored = shutil.ignore_patterns("compiled", "tensorrt*", "python36")
            shutil.copytree(cache_folder(), Path(folder) / "cache" / "edgec", ignore=ignored)
        ((_, counted),) = apart(run, [COUNT], patience_s=PATIENCE_S, folder=folder, target=target)
        calls = list(range(int(counted.message)))
        random.Random(0).shuffle(calls)
        wanted = [number for number in numbers if number < len(calls)]
        found = apart(run, [calls[number] for number in wanted], patience_s=PATIENCE_S, folder=folder, target=target)
        for number, (_, outcome) in zip(wanted, found, strict=False):
            yield number, outcome


if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, target=name) for name in ("host", "jetson-tx2")}, 100_000)
