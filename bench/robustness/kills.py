"""Commands killed at random moments: no output that is half, no process left, and the next run clears up.

python bench/robustness/kills.py [--kinds compile,compile-jetson,sensitivity,tune] [--cases 100]
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import campaign
import numpy as np
from case import ENDS_WITHIN_S, Outcome, called, copy_tools, leftovers, outlived

import edgec
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.targets.tvm.tuning.database import Database
from tests.support.models import model, random_weights, saved

NETWORK = """g (float[1, 3, 32, 32] x) => (float[1, 16, 32, 32] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu (c)  y = Conv <pads = [1, 1, 1, 1]> (r, v) }"""
PROGRAM = (sys.executable, "-c", "from edgec.cli import main; main()")
COMMANDS = {
    "compile": ("compile", "MODEL", "-t", "host", "-o", "OUT", "-q", "--no-cache"),
    "compile-jetson": ("compile", "MODEL", "-t", "jetson-tx2", "-o", "OUT", "-q"),
    "sensitivity": ("sensitivity", "MODEL", "--data", "DATA", "--workers", "2", "-o", "OUT", "-q"),
    "tune": ("tune", "MODEL", "-o", "OUT", "--time", "15s", "-q"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "compile": edgec.Artefact.open,
    "compile-jetson": edgec.Artefact.open,
    "sensitivity": SensitivityReport.load,
    "tune": Database,
}
"""How a user reads what a command wrote."""


def cases(numbers: Iterable[int], name: str) -> Iterator[tuple[int, Outcome]]:
    """Yield what each kill leaves; what all together leave after the next run counts as the last one's."""
    last: tuple[int, Outcome] | None = None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        out, temporary = place / "out", place / "tmp"
        temporary.mkdir()
        network = saved(model(NETWORK, random_weights(w=(16, 3, 3, 3), v=(16, 16, 3, 3))), place / "model.onnx")
        np.save(place / "data.npy", np.random.default_rng(0).random((16, 3, 32, 32), np.float32))
        places = {"MODEL": network, "OUT": out, "DATA": place / "data.npy"}
        command = [*PROGRAM, *(str(places.get(word, word)) for word in COMMANDS[name])]
        mark = f"EDGEC_KILLED={place.name}"
        settings = {"XDG_CACHE_HOME": str(place / "cache"), "TMPDIR": str(temporary), "EDGEC_KILLED": place.name}
        copy_tools(place / "cache")
        _seconds(command, os.environ | settings)  # the first run also builds what is in the cache from then on
        shutil.copytree(place / "cache", place / "kept")
        whole = _seconds(command, os.environ | settings)
        for number in numbers:
            if last is not None:
                yield last
            shutil.rmtree(place / "cache")  # a kill may have spoilt it, and a run that builds it anew gets no further
            shutil.copytree(place / "kept", place / "cache")
            process = subprocess.Popen(
                command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(random.Random(number).uniform(0, whole))
            process.send_signal(signal.SIGKILL)
            ended = "done" if process.wait() == 0 else "killed"
            alive = outlived(mark)
            read = called(lambda: READERS[name](out))
            # What was measured remains, so an output may be there, or not yet.
            half = out.exists() and read.kind != "done"
            last = (
                number,
                Outcome(ended)
                .unless("processes left", true=not alive, message=f"{alive} after {ENDS_WITHIN_S} s")
                .unless("half-made", true=not half, message=read.message),
            )
        _seconds(command, os.environ | settings)
        left = leftovers(place) + sorted(each.name for each in temporary.iterdir())
        print(f"kills, {name}: within {whole:.1f} s; left after the next run: {left or 'nothing'}", flush=True)
        right = name != "compile" or edgec.Artefact.open(out).verify().ok
        if last is not None:
            outcome = last[1].unless("files left", true=not left, message=str(left))
            yield last[0], outcome.unless("wrong result", true=right, message="the next run's")


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, name=name) for name in COMMANDS}, 100)
