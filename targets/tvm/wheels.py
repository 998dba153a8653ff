"""TVM's wheels for another CPU: found beside `--runtime-wheel`, or downloaded through pip and checked by hash."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgec.child_process import run_child
from edgec.errors import BadOption, MissingDependency
from edgec.extras import install
from edgec.plain_file import hash_file

PACKAGES = ("apache-tvm", "apache-tvm-ffi")
PYTHON = "3.11"
"""Python version of the wheels: fixed, so that the artefact does not depend on the Python that compiles it."""
SHA256 = {
    ("apache-tvm", "0.27.0.post1", "aarch64"): "4acfdb7653e4e1ba7a707bdf2833db72eb8fda7d04d99141f2a4e1da43171fb7",
    ("apache-tvm", "0.27.0.post1", "x86_64"): "f503fc903b6e16fda5daacac6698ecb8bc38937f57da7aa29f6c7ab169d08657",
    ("apache-tvm-ffi", "0.1.14.post1", "aarch64"): "c7a759781d4fbf2b99fa12f2741f250b882b06acc2747bb02831d491d1ac7d3c",
    ("apache-tvm-ffi", "0.1.14.post1", "x86_64"): "4b01a5a3fa07ed3315d5ef1e05d3542dae57a119ef7e77c54bc062414e242f65",
}
"""Hashes of the wheels (for `PYTHON`) of versions edgec was tested with; no others are downloaded."""
OFFLINE = "Run the same command when online, or give the wheel with --runtime-wheel ({names} in one folder)."


@dataclass(frozen=True)
class Versions:
    """Versions of apache-tvm and apache-tvm-ffi; the board's libraries must be those of the compiler."""

    tvm: str
    ffi: str

    @property
    def requirements(self) -> tuple[str, str]:
        """Requirements in pip's form."""
        return f"apache-tvm=={self.tvm}", f"apache-tvm-ffi=={self.ffi}"


def installed_versions() -> Versions:
    """Return the versions installed here.

    Raises:
        MissingDependency: TVM is not installed.
    """
    try:
        return Versions(*(version(package) for package in PACKAGES))
    except PackageNotFoundError as error:
        problem = f"the TVM back end needs the package {error.name}, which is not installed"
        raise MissingDependency(problem, remedy=install("tvm")) from None


def given_wheels(path: Path, versions: Versions, architecture: str) -> tuple[Path, Path]:
    """Return the two wheels in the folder `path`, or `path` itself and the one beside it.

    Raises:
        BadOption: There is no such file, or one is of another version or CPU.
    """
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise BadOption(f"--runtime-wheel {path}: no such file or folder")
    found = [_one(folder, package, number, architecture) for package, number in _named(versions)]
    if path.is_file() and path not in found:
        problem = f"--runtime-wheel {path.name} is not apache-tvm {versions.tvm} for {architecture}"
        raise BadOption(problem, remedy=_fetch_command(versions, architecture))
    _check_hashes(found, versions, architecture)
    return found[0], found[1]


def download_wheels(versions: Versions, architecture: str, folder: Path) -> tuple[Path, Path]:
    """Download the two wheels into `folder`, a scratch folder, with pip.

    Raises:
        MissingDependency: There is no pip or no network, or no wheel of that version for that CPU whose hash is known.
    """
    names = " and ".join(versions.requirements)
    unknown = [package for package, number in _named(versions) if (package, number, architecture) not in SHA256]
    if unknown:
        problem = f"{names} for {architecture} are not downloaded: edgec does not know the hash of {unknown[0]}'s wheel"
        raise MissingDependency(problem, remedy=_fetch_command(versions, architecture))
    command = [sys.executable, "-m", "pip", "download", *_pip_arguments(versions, architecture), "--dest", str(folder)]
    done = run_child([*command, "--quiet", "--no-cache-dir"], temporary=folder)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        problem = f"TVM's runtime for {architecture} cannot be downloaded: {lines[-1]}"
        raise MissingDependency(problem, remedy=OFFLINE.format(names=names))
    found = [_one(folder, package, number, architecture) for package, number in _named(versions)]
    _check_hashes(found, versions, architecture)
    return found[0], found[1]


def _named(versions: Versions) -> zip[tuple[str, str]]:
    return zip(PACKAGES, (versions.tvm, versions.ffi), strict=True)


def _one(folder: Path, package: str, number: str, architecture: str) -> Path:
    pattern = f"{package.replace('-', '_')}-{number}-*_{architecture}.whl"
    found = sorted(folder.glob(pattern))
    if not found:
        problem = f"--runtime-wheel: {folder} contains no {pattern}"
        versions = installed_versions()
        raise BadOption(problem, remedy=_fetch_command(versions, architecture))
    return found[-1]


def _check_hashes(wheels: list[Path], versions: Versions, architecture: str) -> None:
    for path, (package, number) in zip(wheels, _named(versions), strict=True):
        expected = SHA256.get((package, number, architecture))
        if expected is not None and _is_pinned_kind(path) and hash_file(path) != expected:
            problem = f"{path}: SHA-256 {hash_file(path)}, but expected {expected}"
            raise BadOption(problem, remedy="The wheel is damaged or not the published one: download it again.")


def _is_pinned_kind(path: Path) -> bool:
    """Wheels for other Python versions contain the same libraries, but are different files."""
    tag = path.name.split("-")[2]
    return tag in ("py3", f"cp{PYTHON.replace('.', '')}")


def _pip_arguments(versions: Versions, architecture: str) -> list[str]:
    platforms = [f"--platform=manylinux_2_{minor}_{architecture}" for minor in (28, 27, 24, 17)]
    kind = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    return ["--no-deps", *kind, *platforms, *versions.requirements]


def _fetch_command(versions: Versions, architecture: str) -> str:
    arguments = " ".join(_pip_arguments(versions, architecture))
    return f"On a machine with a network: pip download {arguments} --dest wheels; then --runtime-wheel wheels"
