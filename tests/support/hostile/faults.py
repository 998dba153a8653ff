"""System calls that fail once, as SQLite's tests have it: each write, flush, rename and child process in its turn."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

OF_TWO_PATHS = ("copyfile", "copytree", "rename", "replace")
WRITING = set("wax+")
PLACES: tuple[tuple[Any, str], ...] = (
    (builtins, "open"), (io, "open"), (os, "open"), (os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"),
    (os, "chmod"), (shutil, "copyfile"), (shutil, "copytree"), (subprocess.Popen, "__init__"),
)  # fmt: skip
"""What fails; `open` only where something is to be written."""


class Faults:
    """Counts the calls at `PLACES`, and lets one of them fail."""

    def __init__(self, fails: int | None) -> None:
        self.fails, self.calls, self.where = fails, 0, ""

    def passed(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Count a call; raise in its place if it is the one."""
        self.calls += 1
        if self.calls - 1 == self.fails:
            given = arguments[: 2 if name in OF_TWO_PATHS else 1]
            paths = [str(each) for each in given if isinstance(each, str | os.PathLike)]
            self.where = " ".join([name, *paths])
            first, second = (*paths, None, None)[:2]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), first, None, second)


@contextmanager
def faults(fails: int | None) -> Iterator[Faults]:
    """Let the call number `fails` at `PLACES` fail for a full disk; None: none, they are counted only."""
    told = Faults(fails)
    with ExitStack() as patches:
        for owner, name in PLACES:
            patches.enter_context(mock.patch.object(owner, name, _wrapped(owner, name, told)))
        yield told


def _wrapped(owner: Any, name: str, told: Faults) -> Callable[..., Any]:
    original = getattr(owner, name)

    def call(*arguments: Any, **settings: Any) -> Any:
        if name != "open" or _writes(arguments, settings):
            told.passed(name, arguments)
        return original(*arguments, **settings)

    return call


def _writes(arguments: tuple[Any, ...], settings: dict[str, Any]) -> bool:
    how = settings.get("mode", settings.get("flags", arguments[1] if len(arguments) > 1 else "r"))
    return bool(how & (os.O_WRONLY | os.O_RDWR)) if isinstance(how, int) else bool(WRITING & set(str(how)))
