"""Many measurements: each result is kept as it comes, whoever measures, and nobody goes on without the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgec.errors import BadOption
from edgec.jobs.journal import Journal, Record, append
from edgec.jobs.processes import _ctrl_c_held_back
from edgec.jobs.run import run
from edgec.jobs.workers import Workers, why_not_sent

HEAD = {"model": "abc", "samples": 3}


def squares(part: tuple[int, ...]) -> Iterator[Record]:
    """Measure something quick."""
    for number in part:
        yield {"of": number, "is": number**2}


def wait_for_ever(said: str) -> None:
    """Say that the work has begun; it never ends."""
    os.write(sys.stdout.fileno(), f"{said}\n".encode())  # at once, unlike print: two processes say it
    time.sleep(3600)


def test_results_are_there_after_an_interruption(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal", HEAD)
    first.append({"of": 1})
    assert Journal(tmp_path / "journal", HEAD).records == [{"of": 1}]


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", HEAD)
    journal.append({"of": 1})
    journal.refresh()
    whole = (tmp_path / "journal").read_bytes()
    # What was read before is not looked at again: it may as well be something else.
    (tmp_path / "journal").write_bytes(b"?" * (len(whole) - 1) + b"\n")
    append(tmp_path / "journal", {"of": 2})
    journal.refresh()
    assert journal.records == [{"of": 1}, {"of": 2}]


@pytest.mark.parametrize(
    "damaged", [b'{"of": 2', b"\xff\xfe\n", b"[1, 2]\n", b"\n", b"[" * 100_000 + b"\n"], ids=lambda line: repr(line[:9])
)
def test_a_damaged_line_counts_as_not_there(tmp_path: Path, damaged: bytes) -> None:
    journal = Journal(tmp_path / "journal", HEAD)
    journal.append({"of": 1})
    with (tmp_path / "journal").open("ab") as file:
        file.write(damaged)
    journal.append({"of": 3})
    assert Journal(tmp_path / "journal", HEAD).records == [{"of": 1}, {"of": 3}]


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", HEAD).begin()
    with pytest.raises(BadOption, match="started with another samples"):
        Journal(tmp_path / "journal", {**HEAD, "samples": 4})


def test_a_journal_without_a_head_was_never_begun(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(json.dumps(HEAD).encode()[:9])
    journal = Journal(tmp_path / "journal", HEAD)
    journal.append({"of": 1})
    assert Journal(tmp_path / "journal", HEAD).records == [{"of": 1}]


@pytest.mark.parametrize("processes", [0, 2])
def test_whoever_measures_the_results_are_the_same(tmp_path: Path, processes: int) -> None:
    journal = Journal(tmp_path / "journal", HEAD)
    seen: list[int] = []
    run(squares, [(1, 2), (3,), (4,)], journal, Workers(processes), lambda: seen.append(len(journal.records)))
    assert sorted(record["is"] for record in journal.records) == [1, 4, 9, 16]
    assert (seen[0], seen[-1]) == (0, 4)


def test_why_something_cannot_be_handed_to_other_processes() -> None:
    assert why_not_sent((1, "two", {3: 4.0})) is None
    assert why_not_sent(lambda: None) is not None


@pytest.mark.timeout(60)
def test_workers_end_with_a_parent_that_is_killed() -> None:
    program = (
        "from edgec.jobs.processes import in_processes\n"
        "from tests.compiler.jobs.test_jobs import wait_for_ever\n"
        "if __name__ == '__main__':\n"
        "    in_processes(wait_for_ever, ['begun', 'begun'], 2, lambda: None)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    parent.send_signal(signal.SIGKILL)
    assert parent.wait() == -signal.SIGKILL
    assert parent.stdout.read() == ""  # it ends when the last process that could write to it has ended


def test_ctrl_c_waits_until_workers_have_been_told_what_to_do() -> None:
    workers_are_told, there = threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: (there.set(), workers_are_told.wait()))  # may take the signal as well
    other.start()
    there.wait()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt), _ctrl_c_held_back():
            signal.pthread_kill(other.ident, signal.SIGINT)
            for _ in range(100):
                time.sleep(0)
            workers_are_told.set()
    finally:
        signal.signal(signal.SIGINT, before)
        interrupted_early = not workers_are_told.is_set()
        workers_are_told.set()
        other.join()
    assert not interrupted_early


def test_a_process_ends_with_its_parent_that_is_killed() -> None:
    imports = "import os, time; from edgec.jobs.processes import end_with; "
    child = imports + "end_with(os.getppid()); print('begun', flush=True); time.sleep(60)"
    begin = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
        parent.communicate(timeout=10)  # both have closed the pipe
