"""Artefacts with one bit, field or file altered: refused by edgec and by the native runner, in words.

python bench/robustness/tampering.py [--kinds bits,bits-edgec-run,manifests,evidence] [--cases 300]
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import campaign
from case import NETWORK, PATIENCE_S, Outcome, called

import edgec
from edgec.artefact.files import EVIDENCE, MANIFEST, SUMS, FileEntry, write_sums
from edgec.report.page import render
from tests.support.hostile.mutate import mutated_bytes, mutated_json
from tests.support.models import model, random_weights


def bits(copy: Path, number: int) -> Outcome:
    """Flip one bit of a file."""
    name = _flip(copy, number)
    found = called(lambda: edgec.load(copy).close())
    return found.unless("wrong result", true=found.kind == "refused", message=f"{name}: not noticed")


def bits_native(copy: Path, number: int) -> Outcome:
    """Flip one bit of a file; whether `edgec-run` finds out: of files that it does not read, it may not."""
    name = _flip(copy, number)
    command = [str(copy / "edgec-run"), "--artefact", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False)
    # One whose own bit was flipped may be no program, and be killed.
    kind = {0: "wrong result", 2: "refused"}.get(done.returncode, "refused" if name == "edgec-run" else "died or hung")
    return Outcome(kind, f"{name}: {done.stderr[-200:]}")


def manifests(copy: Path, number: int) -> Outcome:
    """Alter a field of the manifest, and list the hash that it then has."""
    entries = edgec.Artefact.open(copy).manifest.files
    text = (copy / MANIFEST).read_text()
    for name in (MANIFEST, SUMS):
        (copy / name).unlink()
    (copy / MANIFEST).write_text(mutated_json(text, number), encoding="utf-8", errors="replace")
    write_sums(copy, [FileEntry(**entry.model_dump()) for entry in entries])
    return called(lambda: edgec.load(copy).close())


def evidence(copy: Path, number: int) -> Outcome:
    """Alter bytes of what was measured, which no hash guards, and make the report."""
    path = copy / EVIDENCE
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(mutated_bytes(content, number))
    return called(lambda: render(edgec.Artefact.open(copy)))


def _flip(folder: Path, number: int) -> str:
    rng = random.Random(number)
    path = rng.choice(sorted(each for each in folder.rglob("*") if each.is_file() and each.name != EVIDENCE))
    content, mode = bytearray(path.read_bytes()), path.stat().st_mode
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
    return str(path.relative_to(folder))


@contextmanager
def _copied(good: Path) -> Iterator[Path]:
    """Yield a copy by links: a file that is to be altered is unlinked first."""
    copy = good.with_name("copy")
    shutil.copytree(good, copy, copy_function=os.link)
    yield copy
    shutil.rmtree(copy)


def cases(numbers: Iterable[int], damage: Callable[[Path, int], Outcome]) -> Iterator[tuple[int, Outcome]]:
    """Yield what comes of each damage."""
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        edgec.compile(model(NETWORK, random_weights(w=(4, 3, 1, 1))), target="host", output=good)
        for number in numbers:
            with _copied(good) as copy:
                yield number, damage(copy, number)


KINDS = {"bits": bits, "bits-edgec-run": bits_native, "manifests": manifests, "evidence": evidence}

if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, damage=damage) for name, damage in KINDS.items()}, 300)
