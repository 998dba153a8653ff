"""Random networks with something wrong in them, through the commands that take a model: no traceback, hang or bomb.

python bench/robustness/fuzz_models.py [--seeds 0:1000] [--commands inspect,check,compile,quantize,prune] [--limit-s N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from case import PATIENCE_S, Outcome, command, tell
from workers import isolated

from tests.support.hostile.mutate import mutated_model
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import random_graph

COMMANDS = {
    "inspect": ("inspect", "MODEL"),
    "check": ("check", "MODEL", "--target", "rpi4"),
    "check-jetson": ("check", "MODEL", "--target", "jetson-orin-nano"),
    "compile": ("compile", "MODEL", "--target", "host", "-o", "OUT", "-q"),
    "quantize": ("quantize", "MODEL", "-o", "OUT.onnx", "-q"),
    "prune": ("prune", "MODEL", "--ratio", "0.3", "-o", "OUT.onnx", "-q"),
}


def run(seed: int, folder: str, name: str) -> Outcome:
    """Run one command on the network of `seed`."""
    model = Path(folder) / "model.onnx"
    try:
        network = random_graph(by_seed(seed))
    except Exception as error:  # ONNX Runtime fails at some valid ones
        return Outcome("no network", str(error))
    model.write_bytes(mutated_model(network, seed))
    places = {"MODEL": model, "OUT": Path(folder) / "out", "OUT.onnx": Path(folder) / "out.onnx"}
    return command(*(places.get(word, word) for word in COMMANDS[name]))


def main() -> None:
    """Print a line of figures a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:1000", help="FIRST:LAST, the last not included")
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="stop each command after so many seconds")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split(":"))
    for name in options.commands.split(","):
        with tempfile.TemporaryDirectory() as folder:
            tell(
                name,
                _timed(
                    isolated(partial(run, folder=folder, name=name), range(first, last), PATIENCE_S), options.limit_s
                ),
            )


def _timed(found: Iterator[tuple[int, Outcome | str]], limit_s: float) -> Iterator[tuple[int, Outcome | str]]:
    began = time.monotonic()
    for each in found:
        yield each
        if time.monotonic() - began > limit_s:
            return


if __name__ == "__main__":
    main()
