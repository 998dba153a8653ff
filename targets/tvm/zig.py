"""zig's C and C++ compiler from the `ziglang` wheel: a cross-compiler with a libc for every board."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import platformdirs

from edgec.errors import InternalError, MissingDependency
from edgec.scratch import temporary_folder
from edgec.targets.board import Board

GLIBC = (2, 27)
"""Everything is linked for this glibc: the oldest that TVM's runtime runs on, JetPack 4's; all later ones run it."""
REPRODUCIBLE = ("-s", "-Wl,--build-id=none")


def zig_version() -> str:
    """Return the version of the installed `ziglang`.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return version("ziglang")
    except PackageNotFoundError:
        remedy = "pip install 'edgec[tvm]'"
        raise MissingDependency("the compiler package `ziglang` is not installed", remedy=remedy) from None


def zig_triple(board: Board) -> str:
    """Return zig's name of the platform to link for, such as `aarch64-linux-gnu.2.27`."""
    return f"{board.architecture}-linux-gnu.{GLIBC[0]}.{GLIBC[1]}"


def zig(language: Literal["cc", "c++"], arguments: Sequence[str], folder: Path) -> None:
    """Run zig's compiler in `folder`, which relative paths in `arguments` refer to.

    Raises:
        MissingDependency: `ziglang` is not installed.
        InternalError: The compiler fails; holds its message.
    """
    if importlib.util.find_spec("ziglang") is None:
        zig_version()
    with temporary_folder() as scratch:
        # zig keeps what it built of libc and libc++ in the global cache; objects of ours need not be kept.
        places = {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"), "ZIG_LOCAL_CACHE_DIR": str(scratch)}
        command = [sys.executable, "-m", "ziglang", language, *arguments]
        done = subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InternalError(f"zig {language} failed: {done.stderr.strip() or done.stdout.strip()}")


def cache_folder() -> Path:
    """Return the folder that keeps compiled tools and downloaded libraries between compilations."""
    return Path(platformdirs.user_cache_dir("edgec"))
