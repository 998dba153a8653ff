"""Every write, flush, rename and child process of `compile` fails once: nothing half-made is left.

python bench/robustness/faults.py [--target host] [--every N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

from case import NETWORK, Outcome, command, leftovers, tell
from workers import isolated

import edgec
from edgec.errors import EdgecError
from edgec.targets.tvm.cache import cache_folder
from tests.support.hostile.faults import faults
from tests.support.models import model, random_weights, saved

PATIENCE_S = 600.0


def run(number: int | None, folder: str, target: str) -> Outcome | tuple[Outcome, int]:
    """Compile a network that the cache does not know, call `number` failing; None: count them."""
    place = Path(folder)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    network = place / f"model{number}.onnx"
    saved(model(NETWORK, random_weights(1 << 20 if number is None else number, w=(4, 3, 1, 1))), network)
    out = place / f"out{number}"
    with faults(number) as told:
        outcome = command("compile", network, "--target", target, "-o", out, "-q")
    if number is None:
        return outcome, told.calls
    where = f"call {number}, {told.where}"
    # One that was complete before its evidence could not be written is an artefact like any other.
    if outcome.kind == "done" or out.exists():
        try:
            right = edgec.Artefact.open(out).verify().ok
        except EdgecError as error:
            return Outcome("traceback", f"{where}: a half-made output: {error}; {outcome.message}")
        if not right:
            return Outcome("traceback", f"{where}: a wrong artefact; {outcome.message}")
    left = [name for name in leftovers(place) if name.startswith(f".{out.name}.")]
    if left:
        return Outcome("traceback", f"{where}: {left} is left")
    return Outcome(outcome.kind, f"{where}: {outcome.message}", outcome.seconds, outcome.megabytes)


def main() -> None:
    """Print what is odd, then a line of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="host")
    parser.add_argument("--every", type=int, default=1, help="take every Nth call only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").mkdir()
        if cache_folder().exists():  # with the runner, which takes minutes to build
            shutil.copytree(cache_folder(), Path(folder) / "cache" / "edgec")
        work = partial(run, folder=folder, target=options.target)
        ((_, counted),) = isolated(work, [None], PATIENCE_S)
        assert isinstance(counted, tuple), counted
        calls = range(0, counted[1], options.every)
        print(f"faults: {counted[1]} calls that can fail")
        tell("faults", isolated(work, calls, PATIENCE_S))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
