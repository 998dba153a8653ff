"""Artefacts with one bit, field or file altered: refused by edgec and by the native runner, in words.

python bench/robustness/tampering.py [--cases 300]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from case import NETWORK, Outcome, tell

import edgec
from edgec.artefact.files import EVIDENCE, MANIFEST, FileEntry, write_sums
from edgec.errors import EdgecError
from edgec.report.page import render
from tests.support.hostile.mutate import mutated_bytes, mutated_json
from tests.support.models import model, random_weights


def outcome_of(work: Callable[[], object]) -> Outcome:
    """Return how `work` ended."""
    try:
        work()
    except EdgecError as error:
        return Outcome("refused", error.problem)
    except Exception as error:
        return Outcome("traceback", repr(error))
    return Outcome("done", "")


def bit(folder: Path, rng: random.Random) -> str:
    """Flip one bit of a file; return its name."""
    path = rng.choice(sorted(each for each in folder.rglob("*") if each.is_file() and each.name != EVIDENCE))
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return str(path.relative_to(folder))


def main() -> None:
    """Print what is odd, then lines of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        made = edgec.compile(model(NETWORK, random_weights(w=(4, 3, 1, 1))), target="host", output=good)
        entries, text = made.manifest.files, (good / MANIFEST).read_text()
        run = [str(good / "edgec-run"), "--artefact"]
        found: dict[str, list[tuple[object, Outcome | str]]] = {
            "bits": [], "bits, edgec-run": [], "manifests with right hashes": [], "evidence, in the report": [],
        }  # fmt: skip
        native: Counter[int] = Counter()
        for seed in range(options.cases):
            copy = Path(scratch) / "copy"
            shutil.copytree(good, copy, copy_function=os.link)
            for path in copy.rglob("*"):  # written anew below: no link may be altered
                if path.is_file():
                    content, mode = path.read_bytes(), path.stat().st_mode
                    path.unlink()
                    path.write_bytes(content)
                    path.chmod(mode)
            name = bit(copy, random.Random(seed))
            told = outcome_of(lambda copy=copy: edgec.load(copy).close())
            found["bits"].append((seed, told if told.kind != "done" else Outcome("traceback", f"{name}: not noticed")))
            done = subprocess.run(
                [*run, str(copy)], capture_output=True, text=True, errors="replace", timeout=60, check=False
            )
            native[done.returncode] += 1
            kind = {0: "done", 2: "refused"}.get(done.returncode, "traceback")
            found["bits, edgec-run"].append((seed, Outcome(kind, f"{name}: {done.stderr[-200:]}")))
            shutil.rmtree(copy)
        for seed in range(options.cases):
            copy = Path(scratch) / "copy"
            shutil.copytree(good, copy)
            (copy / MANIFEST).write_text(mutated_json(text, seed), encoding="utf-8", errors="replace")
            write_sums(copy, [FileEntry(**entry.model_dump()) for entry in entries])
            found["manifests with right hashes"].append((seed, outcome_of(lambda copy=copy: edgec.load(copy).close())))
            (copy / MANIFEST).write_text(text)
            write_sums(copy, entries)
            evidence = (good / EVIDENCE).read_bytes() if (good / EVIDENCE).exists() else b'{"latency": {"median": 1.5}}'
            (copy / EVIDENCE).write_bytes(mutated_bytes(evidence, seed))
            found["evidence, in the report"].append(
                (seed, outcome_of(lambda copy=copy: render(edgec.Artefact.open(copy))))
            )
            shutil.rmtree(copy)
    for name, outcomes in found.items():
        tell(f"tampering, {name}", outcomes)


if __name__ == "__main__":
    main()
