"""Tests are strict and verify each pass of every compilation; temporary files are as on a file system of their own."""

from __future__ import annotations

import errno
import os
import re
import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgec.options import CompileOptions
from edgec.scratch import PREFIX, RANDOM, SUFFIX

EVERY_PROCESS = Path(__file__).parent / "support" / "every_process"


def pytest_configure(config: pytest.Config) -> None:
    os.environ["TVM_BIND_THREADS"] = "0"  # processes that bind their threads would share one core
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(EVERY_PROCESS), os.environ.get("PYTHONPATH")]))
    os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure
    runpy.run_path(str(EVERY_PROCESS / "sitecustomize.py"))
    assert CompileOptions(target="host").verify_passes
    os.rename, os.replace = within_file_systems(os.rename), within_file_systems(os.replace)


def within_file_systems(rename: Callable[..., None]) -> Callable[..., None]:
    """Return `rename` that refuses to move a file out of edgec's temporary folders: /tmp is often a tmpfs."""
    temporary = re.compile(rf"{re.escape(tempfile.gettempdir())}/{PREFIX}{RANDOM}{re.escape(SUFFIX)}/")

    def checked(source: Any, destination: Any, **options: Any) -> None:
        one, other = (temporary.match(str(Path(os.fsdecode(path)).absolute())) for path in (source, destination))
        if (one and one[0]) != (other and other[0]):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, destination)
        rename(source, destination, **options)

    return checked
