"""The C++ runner, built here against the stub of TensorRT, for both generations of its API."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgec.targets.tensorrt.target import write_runner

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("tensorrt_stub")
CUDA_STAND_IN = Path(__file__).with_name("tensorrt_stand_in") / "cudart.c"
SANITIZED = ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""What reads or writes where it may not, or does what C++ leaves undefined, ends the program with a report."""
VERSION_OF = {8: "8.2.1.8", 10: "10.3.0"}


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str


def detect(*arguments: str | Path, generation: int = 8, **environment: str) -> Run:
    """Run edgec-detect; `environment` is for the stub."""
    process = subprocess.run(
        [program(generation), *map(str, arguments)],
        env=os.environ | {"STAND_IN_SM": "62"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Run(process.returncode, process.stdout, process.stderr)


def program(generation: int) -> Path:
    """Return edgec-detect for TensorRT 8.2 or 10.3; skip the test where it cannot be built."""
    for tool, package in (("cmake", "cmake"), ("g++", "g++"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here: apt-get install {package}")
    folder, said = _build()
    if "is missing" in said or "neither OpenCV" in said:
        pytest.skip(next(line.strip() for line in said.splitlines() if "apt-get install" in line))
    assert not said, said
    return Path(folder.name) / f"edgec-detect-{generation}"


@cache
def _build() -> tuple[TemporaryDirectory[str], str]:
    """Build by CMake for 8; for 10 only what knows TensorRT is compiled anew."""
    folder = TemporaryDirectory(prefix="edgec-cpp-")
    place = Path(folder.name)
    write_runner(place)
    sources, flags = place / "cpp", ["-Werror", *SANITIZED]
    options = ["-DCMAKE_BUILD_TYPE=None", "-DEDGEC_USE_OPENCV=OFF", f"-DCMAKE_PREFIX_PATH={place}/8"]
    options += [f"-DTENSORRT_INCLUDE={STUB}", f"-DCUDA_INCLUDE={STUB}"]
    options += [f"-DCMAKE_CXX_FLAGS=-DSTUB_TENSORRT=8 {' '.join(flags)}"]
    try:
        for generation in (8, 10):
            _libraries(place / f"{generation}/lib", generation)
        _run("cmake", "-S", sources, "-B", place / "build", *options)
        _run("cmake", "--build", place / "build", "-j2")
    except subprocess.CalledProcessError as error:
        return folder, str(error.stdout)
    (place / "build/edgec-detect").rename(place / "edgec-detect-8")
    objects = [path for path in (place / "build").rglob("*.o") if path.name != "engine.cc.o"]
    library = place / "10/lib"
    _run(
        "g++", "-std=c++17", "-Wall", "-Wextra", *flags, "-DSTUB_TENSORRT=10", f"-I{STUB}", sources / "engine.cc",
        *objects, f"-L{library}", f"-Wl,-rpath,{library}", "-lnvinfer", "-lnvinfer_plugin", "-lcudart",
        "-ljpeg", "-lpng", "-o", place / "edgec-detect-10",
    )  # fmt: skip
    return folder, ""


def _libraries(folder: Path, generation: int) -> None:
    folder.mkdir(parents=True)
    _run(
        "g++",
        "-std=c++17",
        "-shared",
        "-fPIC",
        f"-DSTUB_TENSORRT={generation}",
        STUB / "stub.cc",
        "-o",
        folder / "libnvinfer.so",
    )
    _run("g++", "-shared", "-fPIC", "-x", "c++", "/dev/null", "-o", folder / "libnvinfer_plugin.so")
    _run("cc", "-shared", "-fPIC", CUDA_STAND_IN, "-o", folder / "libcudart.so")


def _run(*command: str | Path) -> None:
    subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
