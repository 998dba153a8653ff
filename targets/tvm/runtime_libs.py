"""TVM's runtime libraries for a board: from the installed wheel, or from the one for the board's CPU."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgec.errors import BadOption, MissingDependency, reason
from edgec.plain_file import hash_file
from edgec.record import Record
from edgec.scratch import scratch_folder, temporary_folder
from edgec.targets.board import Board
from edgec.targets.tvm.cache import STAGING, cache_folder, unusable
from edgec.targets.tvm.sealed import is_sealed, seal
from edgec.targets.tvm.wheels import download_wheels, given_wheels, installed_versions
from edgec.whole_file import flush

LIBRARIES = ("tvm/lib/libtvm_runtime.so", "tvm_ffi/lib/libtvm_ffi.so")
LICENCES = {
    "tvm/LICENSE": "LICENSE.tvm",
    "tvm/NOTICE": "NOTICE.tvm",
    "licenses/LICENSE": "LICENSE.tvm-ffi",
    "licenses/NOTICE": "NOTICE.tvm-ffi",
    "tvm_ffi/3rdparty/libbacktrace/LICENSE": "LICENSE.libbacktrace",
    "tvm/licenses/LICENSE.builtin_fp16.txt": "LICENSE.builtin_fp16",
}
"""Licences of the libraries: member of a wheel -> name in the artefact."""


@contextmanager
def runtime_libraries(board: Board, wheel: Path | None, record: Record) -> Iterator[Path]:
    """Yield a folder with TVM's runtime libraries for `board` and their licences; it is complete and checked.

    Args:
        board: Its architecture decides.
        wheel: `--runtime-wheel`, or None.
        record: Receives a progress message when something is downloaded.

    Raises:
        MissingDependency: They cannot be downloaded.
        BadOption: `wheel` is of another version or CPU, or the board's glibc is too old.
    """
    versions = installed_versions()
    given = None if wheel is None else given_wheels(wheel, versions, board.architecture)
    source = "" if given is None else "".join(f"-{hash_file(path)[:12]}" for path in given)
    key = f"{versions.tvm}-{versions.ffi}-{board.architecture}{source}"
    kept = cache_folder() / "tvm-runtime" / key
    with ExitStack() as stack:
        folder = kept
        if not is_sealed(kept):
            folder = stack.enter_context(temporary_folder()) / "libraries"
            folder.mkdir()
            if given is not None:
                _unpack(given, folder)
            elif board.architecture == platform.machine():
                _copy_installed(folder)
            else:
                with record.stage(f"download TVM's runtime for {board.architecture}, once (95 MB)"):
                    _unpack(download_wheels(versions, board.architecture, folder.parent), folder)
            _keep(folder, kept, record)
        _check_glibc(board, folder)
        yield folder


def _keep(folder: Path, kept: Path, record: Record) -> None:
    """Copy `folder` into the cache and seal it; a copy there that has changed since it was sealed is replaced."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(kept.parent, STAGING) as scratch:
            staged = scratch / kept.name
            shutil.copytree(folder, staged)
            seal(staged)
            for path in staged.iterdir():
                flush(path)
            if kept.exists():
                kept.rename(scratch / "damaged")
            staged.rename(kept)
    except (OSError, BadOption) as error:
        record.tell(unusable(kept.parent, error))


def install_runtime(source: Path, destination: Path) -> None:
    """Copy the libraries from `source`, which contains other files too, to `destination`."""
    destination.mkdir()
    for name in LIBRARIES:
        shutil.copyfile(source / Path(name).name, destination / Path(name).name)


def needed_glibc(libraries: Sequence[Path]) -> tuple[int, int]:
    """Return the newest glibc version whose symbols `libraries` import."""
    found = {(2, 0)}
    for path in libraries:
        found |= {(int(a), int(b)) for a, b in re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", path.read_bytes())}
    return max(found)


def _check_glibc(board: Board, folder: Path) -> None:
    # libstdc++ needs no check: that of GCC 6 is sufficient, and every system with this glibc has a newer one.
    needed = needed_glibc(sorted(folder.glob("*.so")))
    if board.glibc is not None and tuple(int(part) for part in board.glibc.split(".")[:2]) < needed:
        problem = f"board {board.name} has glibc {board.glibc}, but TVM's runtime needs {needed[0]}.{needed[1]}"
        raise BadOption(problem, remedy="Update the board's system; if it is newer, correct `glibc` in its record.")


def _copy_installed(staged: Path) -> None:
    for package in ("apache-tvm", "apache-tvm-ffi"):
        distribution = importlib.metadata.distribution(package)
        for file in distribution.files or ():
            target = _wanted(file.as_posix())
            if target is not None:
                shutil.copyfile(str(distribution.locate_file(file)), staged / target)
    _require_libraries(staged, "the installed packages apache-tvm and apache-tvm-ffi")


def _unpack(wheels: Sequence[Path], staged: Path) -> None:
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    target = _wanted(name)
                    if target is not None:
                        (staged / target).write_bytes(archive.read(name))
        except (OSError, zipfile.BadZipFile) as error:
            raise BadOption(f"{wheel}: {reason(error)}", remedy="Download the wheel again.") from error
    _require_libraries(staged, " and ".join(wheel.name for wheel in wheels))


def _wanted(name: str) -> str | None:
    """Return the file name under which a member of a wheel is kept, or None."""
    if name in LIBRARIES:
        return Path(name).name
    if ".dist-info/" in name:
        name = name.partition(".dist-info/")[2] if name.startswith("apache_tvm_ffi") else ""
    return LICENCES.get(name)


def _require_libraries(staged: Path, source: str) -> None:
    missing = [name for name in LIBRARIES if not (staged / Path(name).name).is_file()]
    if missing:
        remedy = "Install TVM from its wheel, or give a wheel with --runtime-wheel."
        raise MissingDependency(f"{source}: it does not contain {missing[0]}", remedy=remedy)
