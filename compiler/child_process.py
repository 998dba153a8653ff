"""Child processes that end when their parent ends, for whatever reason, together with all processes they started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

KEEPER = """
import os, signal, subprocess, sys, threading

def end_with_parent():
    os.read(0, 1)  # returns once no process holds the other end of the pipe
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=end_with_parent, daemon=True).start()
try:
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
os._exit(code if code >= 0 else 128 - code)
"""
"""Runs between parent and child, in a session of its own, which signals to the parent do not reach."""


def run_child(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    temporary: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end and return what it wrote; it is killed if this process ends before it.

    Args:
        command: Program and arguments.
        folder: Its working directory.
        environment: Environment variables, instead of this process's.
        temporary: A scratch folder for its temporary files: a child that is killed cannot remove them itself.

    Raises:
        OSError: No process can be started.
    """
    variables = dict(os.environ if environment is None else environment)
    if temporary is not None:
        variables["TMPDIR"] = str(temporary)
    reading, writing = os.pipe()  # the child inherits neither end except as its standard input
    with (
        os.fdopen(reading) as ending,
        os.fdopen(writing, "w") as alive,
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", KEEPER, *command],
            stdin=ending,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=folder,
            env=variables,
            start_new_session=True,
        ) as process,
    ):
        try:
            output, messages = process.communicate()
        except BaseException:
            alive.close()
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, output, messages)
