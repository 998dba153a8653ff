"""What runs the network on the board: `edgec-run`, `edgec-detect`, `libedgec.so`; for C++, C and Python programs."""

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

MODEL = ("edgec.hpp", "edgec_detail.hpp", "edgec_files.hpp", "runtime.hpp", "cpu_flags.hpp")
RUN, DETECT, C_LIBRARY = "edgec-run", "edgec-detect", "libedgec.so"
SOURCES = {
    RUN: ("edgec_run.cc",),
    C_LIBRARY: ("edgec_c.cc",),
    DETECT: (
        "main.cc",
        "settings.cc",
        "node.cc",
        "source.cc",
        "camera.cc",
        "video.cc",
        "stages.cc",
        "image_stb.cc",
        "orientation.cc",
        "resize.cc",
        "preprocess.cc",
        "decoder.cc",
        "boxes.cc",
        "columns.cc",
        "regions.cc",
        "whole_pictures.cc",
        "result.cc",
        "draw.cc",
        "engine_cpu.cc",
    ),
}
"""Source files of each program, and of the library for other languages."""
INCLUDED = {
    RUN: (*MODEL, "npy.hpp", "mark.hpp", "profile.hpp", "peak.hpp"),
    C_LIBRARY: (*MODEL, "edgec_c.h"),
    DETECT: (
        *MODEL,
        "node.hpp",
        "settings.hpp",
        "source.hpp",
        "camera.hpp",
        "video.hpp",
        "huffman.hpp",
        "stages.hpp",
        "pipeline.hpp",
        "mark.hpp",
        "resize.hpp",
        "tile.hpp",
        "image.hpp",
        "image_file.hpp",
        "orientation.hpp",
        "preprocess.hpp",
        "decoder.hpp",
        "decoding.hpp",
        "result.hpp",
        "draw.hpp",
        "engine.hpp",
        "stb_image.h",
        "stb_image_write.h",
    ),
}
"""Header files that the sources include."""
EXAMPLE_SOURCES = (*MODEL, "edgec_c.h", "example.cc", "CMakeLists.txt")
MODULE = "edgec_model.py"
HEADERS = ("tvm/ffi/c_api.h", "dlpack/dlpack.h")
"""All headers of tvm_ffi that edgec.hpp includes; both are Apache-2.0, see `LICENSES/` of an artefact."""


def install_runner(board: Board, record: Record, destination: Path) -> None:
    """Write a program for `board` to the file `destination`, compiled now or taken from the cache.

    Args:
        board: Its architecture decides.
        record: Receives a progress message when the program is compiled.
        destination: The file to write; its name, a key of `SOURCES`, selects the program.

    Raises:
        MissingDependency: `ziglang` is not installed.
    """
    program = destination.name
    cache, key = Cache("runner", record.tell), _key(program, board)
    if cache.take(key, destination) is None:
        stage = record.stage(f"build {program} (this takes some minutes the first time)")
        with stage, temporary_folder() as folder:
            for name, content in _files(program).items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            _compile(program, board, folder, record)
            shutil.copyfile(folder / program, destination)
        cache.keep(key, destination, {})
    destination.chmod(0o755)


def _files(program: str) -> dict[str, bytes]:
    """Return the files from which a program is compiled, by path."""
    files = {name: _source(name) for name in (*SOURCES[program], *INCLUDED[program])}
    return files | {f"include/{name}": header(name) for name in HEADERS}


def _key(program: str, board: Board) -> str:
    key = hashlib.sha256(f"{zig_triple(board)} {zig_version()}".encode())
    for name, content in _files(program).items():
        key.update(f"{name} {len(content)} ".encode() + content)
    return key.hexdigest()


def install_example(destination: Path) -> None:
    """Write the C++ header, example and CMake file into `destination`, with the headers they need."""
    destination.mkdir()
    for name in EXAMPLE_SOURCES:
        (destination / name).write_bytes(_source(name))
    for name in HEADERS:
        (destination / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (destination / "include" / name).write_bytes(header(name))


def install_module(destination: Path) -> None:
    """Write the Python module that runs the artefact with numpy alone into the new folder `destination`."""
    destination.mkdir()
    (destination / MODULE).write_bytes(_source(MODULE))


def _compile(program: str, board: Board, folder: Path, record: Record) -> None:
    # Products and sums are rounded separately (no fused multiply-add), so that every board gives the same boxes.
    language = ["-std=c++17", "-O2", "-Iinclude", "-I.", "-DNDEBUG", "-ffp-contract=off"]
    kind = ["-shared", "-fPIC", "-fvisibility=hidden"] if program == C_LIBRARY else []
    arguments = ["-target", zig_triple(board), *language, *REPRODUCIBLE, *kind, *SOURCES[program], "-o", program]
    zig("c++", [*arguments, "-ldl", "-lpthread"], folder, record.tell)


def _source(name: str) -> bytes:
    shared = resources.files("edgec.targets.native") / name
    return (shared if shared.is_file() else resources.files("edgec.targets.tvm.runner") / name).read_bytes()


def header(name: str) -> bytes:
    """Return one of `HEADERS`."""
    return Path(str(distribution("apache-tvm-ffi").locate_file(f"tvm_ffi/include/{name}"))).read_bytes()
