"""`edgec-run` built by g++ with sanitizers: a read or write where it may not ends it with a report."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib import resources
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgec.artefact.artefact import Artefact
from edgec.artefact.files import MANIFEST, FileEntry, write_sums

FLAGS = ("-O1", "-g1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sanitized_run(artefact: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it on the folder `artefact`; skip the test where it cannot be built."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TVM_")}
    command = [program(), "--artefact", artefact, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=clean, timeout=60)
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def lean_copy(artefact: Artefact, folder: Path) -> list[FileEntry]:
    """Copy what `sanitized_run` reads of `artefact` to `folder`; return it as listed there."""
    kept = [entry for entry in artefact.manifest.files if not entry.path.startswith(("cpp/", "edgec-"))]
    for name in (MANIFEST, *(entry.path for entry in kept)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(artefact.folder / name, folder / name)
    write_sums(folder, kept)
    return kept


def program() -> Path:
    """Return its path."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ here: apt-get install g++")
    folder = _build()
    if folder is None:
        pytest.skip("this g++ has no sanitizers")
    return Path(folder.name) / "edgec-run"


@cache
def _build() -> TemporaryDirectory[str] | None:
    folder = TemporaryDirectory(prefix="edgec-sanitized-")
    if subprocess.run(
        ["g++", *FLAGS, "-x", "c++", "-", "-o", f"{folder.name}/empty"], input="int main() {}", text=True, check=False
    ).returncode:
        return None
    sources = [Path(str(resources.files(name))) for name in ("edgec.targets.tvm.runner", "edgec.targets.native")]
    include = Path(str(distribution("apache-tvm-ffi").locate_file("tvm_ffi/include")))
    flags = ["-std=c++17", *FLAGS, *(f"-I{path}" for path in (*sources, include))]
    subprocess.run(
        ["g++", *flags, sources[0] / "edgec_run.cc", "-o", f"{folder.name}/edgec-run", "-ldl"],
        check=True,
    )
    return folder
