"""A C++ program with sanitizers that reads pictures and videos as `edgec-detect` of CPU boards does; an AVI for it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "targets" / "native"
SOURCES = ("source.cc", "camera.cc", "video.cc", "image_stb.cc", "orientation.cc", "resize.cc")
WRAPPED = ("open", "close", "ioctl", "mmap", "munmap", "poll")
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def build(folder: Path) -> Path:
    """Return the program, built in `folder`; its arguments are a source and a folder for PNG files."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ here: apt-get install g++")
    built = folder / "pictures"
    sources = [*(NATIVE / name for name in SOURCES), Path(__file__).with_name("fake_camera.cc")]
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    subprocess.run(["g++", *FLAGS, *SANITIZERS, f"-I{NATIVE}", *sources, "-o", built, *wraps], check=True)
    return built


def read(program: Path, source: str | Path, folder: Path, camera: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program on `source`; `camera` says what a stand-in for a camera does."""
    environment = os.environ | ({"FAKE_CAMERA": camera} if camera else {})
    words = [str(program), str(source), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment, check=False)


def avi(frames: list[bytes]) -> bytes:
    """Return a minimal AVI file: headers that nobody looks at, a sound, the frames, an index."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    movie = b"movi" + chunk(b"01wb", b"abc") + b"".join(chunk(b"00dc", frame) for frame in frames)
    body = b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56))) + chunk(b"LIST", movie)
    return chunk(b"RIFF", body + chunk(b"idx1", bytes(16)))
