"""zig's C and C++ compiler from the `ziglang` wheel: a cross-compiler with a libc for every board."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from edgec.child_process import run_child
from edgec.errors import BadOption, EdgecError, InternalError, MissingDependency
from edgec.extras import install
from edgec.scratch import temporary_folder
from edgec.targets.board import Board
from edgec.targets.tvm.cache import cache_folder, remove, unusable
from edgec.targets.tvm.sealed import Known, is_sealed, seal

GLIBC = (2, 27)
"""glibc version for which everything is linked: the oldest that TVM's runtime supports, that of JetPack 4."""
REPRODUCIBLE = ("-s", "-Wl,--build-id=none")
DISK_FULL = ("NoSpaceLeft", "No space left", "DiskQuota", "Disk quota")
PATIENCE_S = 30.0
"""How long edgec waits for another compilation that links or builds zig's libraries."""

_known: Known = {}


def zig_version() -> str:
    """Return the version of the installed `ziglang`.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return version("ziglang")
    except PackageNotFoundError:
        remedy = install("tvm")
        raise MissingDependency("the compiler package `ziglang` is not installed", remedy=remedy) from None


def zig_triple(board: Board) -> str:
    """Return zig's name of the platform to link for, such as `aarch64-linux-gnu.2.27`."""
    return f"{board.architecture}-linux-gnu.{GLIBC[0]}.{GLIBC[1]}"


def zig_file(name: str) -> Path:
    """Return the path of a file of the `ziglang` package, such as `LICENSE`.

    Raises:
        MissingDependency: `ziglang` is not installed, or the file is not there.
    """
    package = importlib.util.find_spec("ziglang")
    path = None if package is None or package.origin is None else Path(package.origin).parent / name
    if path is None or not path.is_file():
        zig_version()
        problem = f"the package `ziglang` does not contain {name}"
        raise MissingDependency(problem, remedy="pip install --force-reinstall ziglang")
    return path


def zig(
    language: Literal["cc", "c++"],
    arguments: Sequence[str],
    folder: Path,
    tell: Callable[[str], None] = lambda message: None,
) -> None:
    """Run zig's compiler in `folder`, which relative paths in `arguments` refer to.

    `tell` is called with a sentence if zig's builds of libc and libc++ do not fit into the cache: they are then built
    for this run alone.

    Raises:
        MissingDependency: `ziglang` is not installed.
        BadOption: The disk is full.
        InternalError: The compiler fails; the error contains its message.
    """
    command = [str(zig_file("zig")), language, *arguments]
    with temporary_folder() as scratch:
        instead = scratch / "global"

        def run(kept: Path) -> subprocess.CompletedProcess[str]:
            places = {"ZIG_GLOBAL_CACHE_DIR": str(kept), "ZIG_LOCAL_CACHE_DIR": str(scratch / "local")}
            return run_child(command, folder=folder, environment=os.environ | places, temporary=scratch)

        with _built_before(instead) as kept:
            done = run(kept)
            is_cache_full = kept != instead and _is_disk_full(done)
            if is_cache_full:
                _clear(kept)
        if is_cache_full:
            tell(unusable(kept, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
            done = run(instead)
        if _is_disk_full(done):
            problem = f"zig {language}: the disk of {folder} is full"
            raise BadOption(problem, remedy="Free space there, or name another folder in TMPDIR.")
    if done.returncode != 0:
        raise InternalError(f"zig {language} failed: {done.stderr.strip() or done.stdout.strip()}")


def _is_disk_full(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode != 0 and any(words in done.stderr + done.stdout for words in DISK_FULL)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        remove(path)


def _locked(handle: int) -> bool:
    """Lock an open folder; return whether that succeeded within `PATIENCE_S`, or the file system has no locks."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        except OSError:  # the file system has no locks
            return True
        else:
            return True


@contextmanager
def _built_before(instead: Path) -> Iterator[Path]:
    """Yield the folder in which zig keeps its builds of libc and libc++: that of the cache, or else `instead`.

    zig does not check what it finds there. So the folder is sealed after each run, and built again if it has changed.
    One compilation at a time uses it; after waiting for `PATIENCE_S` another one uses `instead`.
    """
    folder = cache_folder() / f"zig-{zig_version()}"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            if not _locked(handle):
                yield instead
                return
            sound = is_sealed(folder, _known)
            if not os.access(folder, os.W_OK):
                raise PermissionError
        except OSError:
            if folder.is_dir() and is_sealed(folder):
                shutil.copytree(folder, instead)
            yield instead
            return
        if not sound:
            _clear(folder)
        yield folder
        with suppress(OSError, EdgecError):  # a folder that is not sealed is built again
            seal(folder, _known)
