"""A board over SSH that says anything: `edgec deploy` ends in words, and the terminal gets text alone.

python bench/robustness/hostile_boards.py [--kinds lines,results] [--cases N]

Endless lines, bytes that are no UTF-8 and escape sequences, of the script and of the hashes; results that are altered.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import campaign
import onnx_ir as ir
from case import Outcome, command

import edgec
from tests.support.hostile.mutate import mutated_bytes, mutated_json
from tests.support.ssh_board import SshBoard, asyncssh_board
from tests.support.tensorrt_board import small_model

CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
PIECE = 1 << 16
PIECES = (
    b"x" * PIECE, b"x" * PIECE + b"\n", b"gr\xfcn\n", b"\x1b[2J\x1b]0;title\x07red\n", b"\x00\x80\xff\n", b"\n" * PIECE,
    b"./x\n", b"  ./../../etc/passwd\n", "\u202e[red]\n".encode(),
)  # fmt: skip
MOST_PIECES = 200
"""Of them 13 MB."""


def lines(board: SshBoard, number: int) -> None:
    """Let the board say anything in place of what it was asked for: the script, or the hashes of its files."""
    rng = random.Random(number)
    asked = rng.choice(("build.sh", "sha256sum"))
    said = rng.choices(PIECES, k=rng.randint(1, 6)) + [rng.choice(PIECES)] * rng.choice((1, MOST_PIECES))
    board.answer = lambda command: said if asked in command else None


def results(board: SshBoard, number: int) -> None:
    """Let the board's result be altered on its way."""
    (there,) = (board.home / "edgec").iterdir()
    kept = board.home / "good.json"
    if not kept.exists():
        (there / "result.json").rename(kept)
    good = kept.read_bytes()

    def answer(command: str) -> Iterable[bytes] | None:
        if "build.sh" not in command:
            return None
        changed = mutated_bytes(good, number) if number % 4 == 0 else mutated_json(good.decode(), number).encode()
        (there / "result.json").write_bytes(changed)
        return [b"done\n"]

    board.answer = answer


def cases(numbers: Iterable[int], name: str) -> Iterator[tuple[int, Outcome]]:
    """Yield how each deployment ends."""
    with tempfile.TemporaryDirectory() as scratch:
        home, here = Path(scratch) / "board", Path(scratch) / "here"
        home.mkdir()
        here.mkdir()
        os.environ["HOME"] = str(here)
        os.environ.pop("SSH_AUTH_SOCK", None)
        artefact = Path(scratch) / "small.tx2"
        edgec.compile(ir.to_proto(small_model()), target="jetson-tx2", output=artefact)
        with asyncssh_board(home, here) as board:
            deploy = partial(command, "deploy", artefact, board.url, "--runs", 1)
            first = deploy()
            assert first.kind == "done", first
            for number in numbers:
                KINDS[name](board, number)
                outcome = deploy()
                yield number, outcome.unless("wrong result", true=not CONTROLS.search(outcome.message))


KINDS = {"lines": lines, "results": results}

if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, name=name) for name in KINDS}, 100)
