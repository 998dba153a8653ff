"""What build_engine.py uses of TensorRT's API exists in the versions it may meet: types of 8.2 and of 10.

The branch of 11 is executed, with the real bindings, by tests/targets/tensorrt/test_real_build.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import platformdirs
import pytest

ROOT = Path(__file__).parents[4]
SCRIPTS = ROOT / "targets/tensorrt/board"
STUBS_8_2 = ROOT / "tests/support/tensorrt_8_2"
STUBS_10 = "tensorrt-stubs==10.13.0.35.1"
"""Not installed beside the others: it would make `import tensorrt` succeed, with nothing in it."""


def problems(stubs: Path, folder: Path) -> dict[str, list[str]]:
    """Return mypy's errors about the scripts on the board, by file, with the types in `stubs`."""
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--follow-imports=silent"]
    process = subprocess.run(
        [
            *command,
            "--no-error-summary",
            "--no-warn-unused-ignores",
            "--python-version=3.10",
            f"--cache-dir={folder}",
            str(SCRIPTS),
        ],
        env={"MYPYPATH": str(stubs), "PATH": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1, process.stderr  # 2: mypy itself failed
    found: dict[str, list[str]] = {}
    for line in process.stdout.splitlines():
        path, _, message = line.partition(":")
        if Path(path).parent == SCRIPTS:  # the published types have errors of their own
            found.setdefault(Path(path).name, []).append(message)
    return found


@pytest.fixture(scope="module")
def stubs_10() -> Path:
    folder = Path(platformdirs.user_cache_dir("edgec")) / STUBS_10.replace("==", "-")
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), STUBS_10]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip(f"{STUBS_10} is not to be had here")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        path = folder / "tensorrt_bindings/tensorrt.pyi"
        # What its generator wrote is no Python in five places: a keyword as a name, a default before one without.
        text = re.sub(r"\bin: ", "in_: ", path.read_text())
        path.write_text(
            text.replace("power: Weights = None, channel_axis: int)", "power: Weights = ..., channel_axis: int = ...)")
        )
        (folder / "done").touch()
    return folder


def test_on_8_2_only_the_calls_by_name_are_unknown(tmp_path: Path) -> None:
    found = problems(STUBS_8_2, tmp_path)
    assert set(found) == {"by_name.py"}, found
    assert all("has no attribute" in message for message in found["by_name.py"])


def test_on_10_only_the_calls_by_index_are_unknown(stubs_10: Path, tmp_path: Path) -> None:
    found = problems(stubs_10, tmp_path)
    assert set(found) == {"by_index.py"}, found
    assert all("has no attribute" in message for message in found["by_index.py"])
