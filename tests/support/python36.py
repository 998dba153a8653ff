"""A real Python 3.6, as on a TX2 or a Nano, with numpy, and ONNX Runtime for the stand-in: where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import platformdirs
import pytest

PACKAGES = ("pip==21.3.1", "numpy==1.19.5", "onnxruntime==1.10.0")
"""The last of each for Python 3.6; its own pip 18 does not know today's wheels."""


def interpreter() -> str:
    """Return the path of Python 3.6 with the packages; skip the test where it cannot be had."""
    python, problem = _set_up()
    if not python:
        pytest.skip(f"no Python 3.6 with numpy here: {problem}")
    return python


@cache
def _set_up() -> tuple[str, str]:
    base = os.environ.get("PYTHON36") or _of_pyenv() or shutil.which("python3.6")  # of pyenv, that is a mere shim
    if not base:
        return "", "install one, e.g. pyenv install 3.6.15, or name it in PYTHON36"
    folder = Path(platformdirs.user_cache_dir("edgec")) / "python36" / "-".join(PACKAGES).replace("==", "-")
    if (folder / "done").exists():
        return str(folder / "bin/python"), ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:  # another process may do the same
            made = Path(staging) / "made"
            subprocess.run([base, "-m", "venv", str(made)], check=True, capture_output=True, text=True)
            for package in PACKAGES:  # pip first: the next ones are for it
                command = [str(made / "bin/python"), "-m", "pip", "install", "-q", package]
                subprocess.run(command, check=True, capture_output=True, text=True)
            (made / "done").touch()
            if not folder.exists():
                made.rename(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        return "", (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
    return str(folder / "bin/python"), ""


def _of_pyenv() -> str:
    found = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.6*/bin/python3.6"))
    return str(found[-1]) if found else ""
