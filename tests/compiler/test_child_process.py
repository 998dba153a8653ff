"""A child process ends with its parent, however that ends, and so does all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgec.child_process import run_child

PARENT = """
import sys
from edgec.child_process import run_child
run_child(["/bin/sh", "-c", "echo $$ > child; sleep 100 & echo $! > grandchild; wait"])
"""


def test_it_returns_what_the_child_wrote_and_its_exit_code(tmp_path: Path) -> None:
    done = run_child(["/bin/sh", "-c", "pwd; echo $WORD >&2; exit 3"], folder=tmp_path, environment={"WORD": "hello"})
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n", "hello\n")
    assert run_child(["/bin/sh", "-c", "echo $TMPDIR"], temporary=tmp_path).stdout == f"{tmp_path}\n"
    assert run_child(["/bin/sh", "-c", "kill -SEGV $$"]).returncode == 128 + signal.SIGSEGV
    assert run_child(["/bin/sh", "-c", r"printf '\377'"]).stdout == "\N{REPLACEMENT CHARACTER}"
    missing = run_child([str(tmp_path / "missing")])
    assert (missing.returncode, missing.stderr) == (1, f"{tmp_path}/missing: No such file or directory\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("whole_group", [False, True])
def test_it_ends_with_its_parent(tmp_path: Path, number: signal.Signals, whole_group: bool) -> None:
    # These tests may be a job in the background, and such ignore Ctrl-C.
    command = ["env", "--default-signal=INT", sys.executable, "-c", PARENT]
    parent = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=-3)
    children = [tmp_path / "child", tmp_path / "grandchild"]
    wait_until(lambda: all(path.exists() and path.read_text().endswith("\n") for path in children))
    assert all(is_alive(int(path.read_text())) for path in children)
    os.killpg(parent.pid, number) if whole_group else os.kill(parent.pid, number)
    parent.wait()
    wait_until(lambda: not any(is_alive(int(path.read_text())) for path in children))


def wait_until(true: object) -> None:
    end = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
