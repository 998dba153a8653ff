"""`edgec compile` is killed at random moments: no output that is half, no process left, and the next run clears up.

python bench/robustness/kills.py [--kills 100] [--target host]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from case import leftovers

import edgec
from edgec.errors import EdgecError
from tests.support.models import model, random_weights, saved

NETWORK = """g (float[1, 3, 32, 32] x) => (float[1, 16, 32, 32] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu (c)  y = Conv <pads = [1, 1, 1, 1]> (r, v) }"""
COMPILE = "from edgec.cli import main; main()"
ENDS_WITHIN_S = 2.0


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


def main() -> None:
    """Print what is odd, then a line of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--target", default="host")
    options = parser.parse_args()
    rng, half, alive, late = random.Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "tmp").mkdir()
        saved(model(NETWORK, random_weights(w=(16, 3, 3, 3), v=(16, 16, 3, 3))), place / "model.onnx")
        mark = f"EDGEC_KILLED={place.name}"
        settings = {"XDG_CACHE_HOME": str(place / "cache"), "TMPDIR": str(place / "tmp"), "EDGEC_KILLED": place.name}
        command = [sys.executable, "-c", COMPILE, "compile", str(place / "model.onnx"), "-t", options.target]
        command += ["-o", str(place / "out"), "-q", "--no-cache"]
        began = time.monotonic()
        subprocess.run(command, env=os.environ | settings, check=True)
        whole = time.monotonic() - began
        for kill in range(options.kills):
            process = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, whole))
            process.send_signal(signal.SIGKILL)
            late += process.wait() == 0
            until = time.monotonic() + ENDS_WITHIN_S
            while processes(mark) and time.monotonic() < until:
                time.sleep(0.05)
            if processes(mark):
                alive += 1
                print(f"kill {kill}: processes {processes(mark)} after {ENDS_WITHIN_S} s")
            try:
                edgec.Artefact.open(place / "out")
            except EdgecError as error:
                half += 1
                print(f"kill {kill}: {error}")
        subprocess.run(command, env=os.environ | settings, check=True)
        left = leftovers(place) + sorted(each.name for each in (place / "tmp").iterdir())
        good = edgec.Artefact.open(place / "out").verify().ok
    print(
        f"kills: {options.kills} within {whole:.1f} s ({late} after the end): {half} half-made outputs, {alive} times "
        f"processes after {ENDS_WITHIN_S:.0f} s, {len(left)} files left after the next run {left}, "
        f"which is {'right' if good else 'WRONG'}"
    )


if __name__ == "__main__":
    main()
