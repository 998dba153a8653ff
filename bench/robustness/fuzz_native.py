"""Altered arrays and manifests into `edgec-run`, altered pictures into `edgec-detect`, all with sanitizers.

python bench/robustness/fuzz_native.py [--kinds arrays,manifests,pictures,pictures-cpu] [--cases 1000]

`pictures` is the program of Jetson boards, `pictures-cpu` what reads pictures and videos in that of CPU boards.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import campaign
import numpy as np
from case import NETWORK, PATIENCE_S, Outcome
from PIL import Image

import edgec
from edgec.artefact.files import MANIFEST, SUMS, write_sums
from tests.support import picture_program
from tests.support.cpp_runner import program as detector
from tests.support.hostile.mutate import mutated_bytes, mutated_json
from tests.support.models import model, random_weights
from tests.support.sanitized import lean_copy, program


def run(*command: object) -> Outcome:
    """Run a program; anything but its own refusals is odd, and what a sanitizer reports."""
    began, words = time.monotonic(), [str(each) for each in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return Outcome("died or hung", f"still running after {PATIENCE_S} s")
    kind = {0: "done", 1: "done", 2: "refused"}.get(done.returncode, "died or hung")
    kind = "traceback" if "Sanitizer" in done.stderr else kind
    return Outcome(kind, done.stderr[-1500:], time.monotonic() - began)


def arrays(numbers: Iterable[int]) -> Iterator[tuple[int, Outcome]]:
    """Inputs in .npy."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lean"
        lean_copy(edgec.compile(_network(), target="host", output=Path(scratch) / "made"), folder)
        np.save(folder / "good.npy", np.zeros((1, 3, 8, 8), np.float32))
        good = (folder / "good.npy").read_bytes()[:128] + bytes(768)
        for number in numbers:
            (folder / "bad.npy").write_bytes(mutated_bytes(good[: 128 + number % 768], number))
            yield number, run(program(), "--artefact", folder, "--no-check", "--input", f"x={folder}/bad.npy")


def manifests(numbers: Iterable[int]) -> Iterator[tuple[int, Outcome]]:
    """Manifests whose hashes are right, and lists of hashes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lean"
        kept = lean_copy(edgec.compile(_network(), target="host", output=Path(scratch) / "made"), folder)
        text, sums = (folder / MANIFEST).read_text(), (folder / SUMS).read_bytes()
        for number in numbers:
            (folder / MANIFEST).write_text(mutated_json(text, number), encoding="utf-8", errors="replace")
            write_sums(folder, kept)
            if number % 10 == 0:
                (folder / SUMS).write_bytes(mutated_bytes(sums, number))
            yield number, run(program(), "--artefact", folder)


def pictures(numbers: Iterable[int]) -> Iterator[tuple[int, Outcome]]:
    """JPEG and PNG."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        edgec.compile(_network(), target="jetson-tx2", output=folder / "jetson")
        good = _pictures(folder)
        for number in numbers:
            bad = _altered(good[number % len(good)], number)
            arguments = (bad, "--artefact", folder / "jetson", "--inputs_to", folder / "inputs")
            yield number, run("env", "STAND_IN_SM=62", detector(8), *arguments)


def pictures_on_cpu(numbers: Iterable[int]) -> Iterator[tuple[int, Outcome]]:
    """JPEG and PNG, and a video of JPEG."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        good, built, out = _pictures(folder), picture_program.build(folder), folder / "out"
        frame = good[0].read_bytes()
        good.append(folder / "video.avi")
        good[-1].write_bytes(picture_program.avi([frame, frame]))
        for number in numbers:
            out.mkdir()
            yield number, run(built, _altered(good[number % len(good)], number), out)
            shutil.rmtree(out)


def _pictures(folder: Path) -> list[Path]:
    """Write one of each form."""
    rng, made = np.random.default_rng(0), []
    for place, settings in enumerate(({}, {"progressive": True}, {"subsampling": 2})):
        made.append(folder / f"{place}.jpg")
        Image.fromarray(rng.integers(0, 256, (19, 23, 3), np.uint8)).save(made[-1], **settings)
    for mode in ("RGB", "L", "P", "RGBA", "1"):
        made.append(folder / f"{mode}.png")
        Image.fromarray(rng.integers(0, 256, (19, 23, 3), np.uint8)).convert(mode).save(made[-1])
    return made


def _altered(source: Path, number: int) -> Path:
    bad = source.with_name(f"bad{source.suffix}")
    bad.write_bytes(mutated_bytes(source.read_bytes(), number))
    return bad


def _network() -> object:
    return model(NETWORK, random_weights(w=(4, 3, 1, 1)))


if __name__ == "__main__":
    campaign.run(
        __doc__, {"arrays": arrays, "manifests": manifests, "pictures": pictures, "pictures-cpu": pictures_on_cpu}, 1000
    )
