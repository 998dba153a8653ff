"""Altered arrays and manifests into `edgec-run`, altered pictures into the Jetson program, both with sanitizers.

python bench/robustness/fuzz_native.py [--cases 1000]
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from case import NETWORK, Outcome, tell
from PIL import Image

import edgec
from edgec.artefact.files import MANIFEST, SUMS, FileEntry, write_sums
from tests.support.cpp_runner import program as detector
from tests.support.hostile.mutate import mutated_bytes, mutated_json
from tests.support.models import model, random_weights
from tests.support.sanitized import lean_copy, program

PATIENCE_S = 60


def run(*command: object) -> Outcome:
    """Run a program; anything but its own refusals is odd."""
    try:
        done = subprocess.run(
            [str(each) for each in command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome("dead or hanging", f"still running after {PATIENCE_S} s")
    kind = {0: "done", 1: "done", 2: "refused"}.get(done.returncode, "traceback")
    return Outcome("traceback" if "Sanitizer" in done.stderr else kind, done.stderr[-1500:])


def arrays(folder: Path, cases: int) -> Iterator[tuple[int, Outcome]]:
    """Inputs in .npy."""
    np.save(folder / "good.npy", np.zeros((1, 3, 8, 8), np.float32))
    good = (folder / "good.npy").read_bytes()[:128] + bytes(768)
    for seed in range(cases):
        (folder / "bad.npy").write_bytes(mutated_bytes(good[: 128 + seed % 768], seed))
        yield seed, run(program(), "--artefact", folder, "--no-check", "--input", f"x={folder}/bad.npy")


def manifests(folder: Path, kept: list[FileEntry], cases: int) -> Iterator[tuple[int, Outcome]]:
    """Manifests whose hashes are right, and lists of hashes."""
    text, sums = (folder / MANIFEST).read_text(), (folder / SUMS).read_bytes()
    for seed in range(cases):
        (folder / MANIFEST).write_text(mutated_json(text, seed), encoding="utf-8", errors="replace")
        write_sums(folder, kept)
        if seed % 10 == 0:
            (folder / SUMS).write_bytes(mutated_bytes(sums, seed))
        yield seed, run(program(), "--artefact", folder)
    (folder / MANIFEST).write_text(text)


def pictures(folder: Path, cases: int) -> Iterator[tuple[int, Outcome]]:
    """JPEG and PNG."""
    place, rng = folder / "jetson", np.random.default_rng(0)
    edgec.compile(model(NETWORK, random_weights(w=(4, 3, 1, 1))), target="jetson-tx2", output=place)
    good = []
    for number, settings in enumerate(({}, {"progressive": True}, {"subsampling": 2})):
        Image.fromarray(rng.integers(0, 256, (19, 23, 3), np.uint8)).save(folder / f"{number}.jpg", **settings)
        good.append(folder / f"{number}.jpg")
    for mode in ("RGB", "L", "P", "RGBA", "1"):
        Image.fromarray(rng.integers(0, 256, (19, 23, 3), np.uint8)).convert(mode).save(folder / f"{mode}.png")
        good.append(folder / f"{mode}.png")
    for seed in range(cases):
        source = good[seed % len(good)]
        bad = folder / f"bad{source.suffix}"
        bad.write_bytes(mutated_bytes(source.read_bytes(), seed))
        yield (
            seed,
            run("env", "STAND_IN_SM=62", detector(8), bad, "--artefact", place, "--inputs_to", folder / "inputs"),
        )


def main() -> None:
    """Print what is odd, then a line of figures a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lean"
        made = edgec.compile(
            model(NETWORK, random_weights(w=(4, 3, 1, 1))), target="host", output=Path(scratch) / "made"
        )
        kept = lean_copy(made, folder)
        tell("native, arrays", arrays(folder, options.cases))
        tell("native, manifests", manifests(folder, kept, options.cases))
        tell("native, pictures", pictures(folder, options.cases))


if __name__ == "__main__":
    main()
