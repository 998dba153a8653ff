"""`compile` with a cache that is damaged, closed, full, elsewhere or used by others: the same artefact every time.

python bench/robustness/caches.py [--kinds damaged,read-only,full-disk,together,other-file-system] [--cases N]

A full disk and a read-only one are mounted (Linux, as root).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import campaign
from case import NETWORK, Outcome, called, copy_tools, leftovers

import edgec
from tests.support.hostile.mutate import mutated_bytes
from tests.support.models import model, random_weights, saved

SHARED_MEMORY = Path("/dev/shm")  # another file system
TOGETHER = 3


def damaged(place: Path, number: int) -> Outcome:
    """Alter, empty or replace one of the entries."""
    rng = random.Random(number)
    entry = rng.choice([path for path in (place / "cache/edgec/compiled").iterdir() if path.is_file()])
    content = entry.read_bytes()
    kind = number % 6
    if kind < 3:
        entry.write_bytes((mutated_bytes(content, number), b"", content[: rng.randrange(len(content))])[kind])
    else:
        entry.unlink()
        (os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path))[kind - 3](entry)
    return _compiled(place)


def read_only(place: Path, number: int) -> Outcome:
    """A disk that is mounted to be read: with entries, or empty."""
    with _mounted(place / "cache", "size=1g"):
        if number % 2:
            shutil.copytree(place / "kept", place / "cache", dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", place / "cache"], check=True)
        return _compiled(place)


def full_disk(place: Path, number: int) -> Outcome:
    """A disk that is full after some KiB; the user is told."""
    with _mounted(place / "cache", f"size={4 << number % 12}k"):
        ended = _compiled(place)
    told = "so edgec continues without it" in ended.message
    return ended.unless("wrong result", true=told, message="nothing is said about the cache")


def together(place: Path, number: int) -> Outcome:
    """Several compilations at once, of a network that is not in the cache, or is."""
    if number % 2:
        shutil.rmtree(place / "cache/edgec/compiled", ignore_errors=True)
    outs = [place / f"out{index}" for index in range(TOGETHER)]
    running = [subprocess.Popen(_command(place, out), env=_environment(place)) for out in outs]
    codes = [process.wait() for process in running]
    right = all(edgec.Artefact.open(out).verify().ok for out in outs)
    return Outcome("done").unless("wrong result", true=right and not any(codes), message=f"exit codes {codes}")


def other_file_system(place: Path, number: int) -> Outcome:
    """The cache, the temporary files or the output in shared memory, so that nothing can be renamed across."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as elsewhere:
        moved = ("XDG_CACHE_HOME", "TMPDIR", "output")[number % 3]
        out = Path(elsewhere) / "out" if moved == "output" else place / "out"
        return _compiled(place, out, {} if moved == "output" else {moved: elsewhere})


def _compiled(place: Path, out: Path | None = None, more: dict[str, str] | None = None) -> Outcome:
    """Compile in a process of its own, and compare the artefact with that of a good cache."""
    out = out or place / "out"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        _command(place, out), env=_environment(place) | (more or {}), capture_output=True, text=True, check=False
    )
    outcome = Outcome({0: "done", 2: "wrong result"}.get(done.returncode, "traceback"), done.stderr[-1500:])
    if done.returncode == 0:
        read = called(lambda: edgec.Artefact.open(out))
        same = (out / "SHA256SUMS").read_bytes() == (place / "good/SHA256SUMS").read_bytes()
        outcome = outcome.unless("half-made", true=read.kind == "done", message=read.message)
        outcome = outcome.unless("wrong result", true=same, message="another artefact")
    left = leftovers(out.parent)
    return outcome.unless("files left", true=not left, message=str(left))


def _command(place: Path, out: Path) -> list[str]:
    program = "from edgec.cli import main; main()"
    return [sys.executable, "-c", program, "compile", f"{place}/model.onnx", "-t", "host", "-o", str(out)]


def _environment(place: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(place / "cache")}


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def cases(numbers: Iterable[int], attack: Callable[[Path, int], Outcome]) -> Iterator[tuple[int, Outcome]]:
    """Yield what comes of each, in a copy of the user's cache with one network in it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copy_tools(place / "kept")
        saved(model(NETWORK, random_weights(w=(4, 3, 1, 1))), place / "model.onnx")
        shutil.copytree(place / "kept", place / "cache", dirs_exist_ok=True)
        subprocess.run(_command(place, place / "good"), env=_environment(place), check=True, capture_output=True)
        shutil.copytree(place / "cache", place / "kept", dirs_exist_ok=True)
        for number in numbers:
            yield number, attack(place, number)


KINDS = {
    "damaged": damaged,
    "read-only": read_only,
    "full-disk": full_disk,
    "together": together,
    "other-file-system": other_file_system,
}

if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, attack=attack) for name, attack in KINDS.items()}, 12)
