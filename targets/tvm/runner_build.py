"""The board's own tools: builds `edgec-run`, and lays out the C++ example for users' programs."""

from __future__ import annotations

import hashlib
import shutil
from importlib import resources
from importlib.metadata import distribution
from pathlib import Path

from edgec.record import Record
from edgec.scratch import temporary_folder
from edgec.targets.board import Board
from edgec.targets.tvm.cache import Cache
from edgec.targets.tvm.zig import REPRODUCIBLE, zig, zig_triple, zig_version

RUNNER_SOURCES = ("edgec.hpp", "edgec_detail.hpp", "edgec_files.hpp", "npy.hpp", "mark.h", "edgec_run.cc")
EXAMPLE_SOURCES = ("edgec.hpp", "edgec_detail.hpp", "edgec_files.hpp", "example.cc", "CMakeLists.txt")
HEADERS = ("tvm/ffi/c_api.h", "dlpack/dlpack.h")
"""All that edgec.hpp includes of tvm_ffi; Apache-2.0 both, see the licences beside the libraries."""


def install_runner(board: Board, libraries: Path, record: Record, destination: Path) -> None:
    """Write `edgec-run` for `board` to the file `destination`, compiled now or taken from the cache.

    Args:
        board: Its architecture decides.
        libraries: Folder of the runtime libraries to link with.
        record: Told when it is compiled.
        destination: An executable, then.

    Raises:
        MissingDependency: `ziglang` is not installed.
    """
    cache, key = Cache("runner", record.tell), _key(board, libraries)
    if cache.take(key, destination) is None:
        stage = record.stage("build edgec-run (some minutes the first time)")
        with stage, temporary_folder() as folder:
            for name, content in _sources().items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            _compile(board, libraries, folder)
            shutil.copyfile(folder / "edgec-run", destination)
        cache.keep(key, destination, {})
    destination.chmod(0o755)


def _sources() -> dict[str, bytes]:
    """Return what `edgec-run` is compiled from, by path."""
    return {name: _source(name) for name in RUNNER_SOURCES} | {f"include/{name}": header(name) for name in HEADERS}


def _key(board: Board, libraries: Path) -> str:
    key = hashlib.sha256(f"{zig_triple(board)} {zig_version()}".encode())
    for name, content in _sources().items():
        key.update(f"{name} {len(content)} ".encode() + content)
    for path in sorted(libraries.glob("libtvm_*.so")):
        key.update(path.read_bytes())
    return key.hexdigest()


def install_example(destination: Path) -> None:
    """Write the C++ header, example and CMake file into `destination`, with the headers they need."""
    destination.mkdir()
    for name in EXAMPLE_SOURCES:
        (destination / name).write_bytes(_source(name))
    for name in HEADERS:
        (destination / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (destination / "include" / name).write_bytes(header(name))


def _compile(board: Board, libraries: Path, folder: Path) -> None:
    # Linked against the libraries by name: the runtime registers what models call when it is loaded.
    runtime = ["-Wl,--no-as-needed", f"-L{libraries}", "-ltvm_runtime", "-ltvm_ffi", "-Wl,--as-needed", "-ldl"]
    language = ["-std=c++17", "-O2", "-Iinclude", "-DNDEBUG"]
    arguments = ["-target", zig_triple(board), *language, *REPRODUCIBLE, "edgec_run.cc", "-o", "edgec-run"]
    zig("c++", [*arguments, *runtime, "-Wl,-rpath,$ORIGIN/lib"], folder)


def _source(name: str) -> bytes:
    shared = resources.files("edgec.targets.native") / name
    return (shared if shared.is_file() else resources.files("edgec.targets.tvm.runner") / name).read_bytes()


def header(name: str) -> bytes:
    """Return one of `HEADERS`."""
    return Path(str(distribution("apache-tvm-ffi").locate_file(f"tvm_ffi/include/{name}"))).read_bytes()
