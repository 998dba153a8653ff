"""A real TensorRT parser and builder on a machine without a GPU, from packages, for tests.

TensorRT's Python bindings are put over TensorRT for RTX, which builds ahead of time on the CPU. Engines can be built
here, not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import platformdirs
import pytest

BINDINGS = "tensorrt-cu12-bindings==11.4.0.106"
LIBRARIES = "onnxruntime-ep-nv-tensorrt-rtx-cu12==0.5.0"
"""Ships libtensorrt_rtx and its ONNX parser; the bindings' own libraries need a GPU."""
STAND_INS = {"nvinfer": "NVINFER", "nvonnxparser": "PARSER", "nvinfer_plugin": "PLUGIN"}
FORWARD = Path(__file__).with_name("forward.c")


def environment() -> dict[str, str]:
    """Return the environment in which `import tensorrt` works; skip the test where it cannot be set up."""
    folder, problem = _set_up()
    if folder is None:
        pytest.skip(f"TensorRT's packages are not to be had: {problem}")
    return os.environ | {"PYTHONPATH": str(folder / "python"), "LD_LIBRARY_PATH": str(folder / "lib")}


@cache
def _set_up() -> tuple[Path | None, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"{BINDINGS}-{LIBRARIES}-{python}".replace("==", "-")
    folder = Path(platformdirs.user_cache_dir("edgec")) / "tensorrt-cpu" / name
    if folder.is_dir():
        return folder, ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
            _build(Path(staging))
            (Path(staging) / "made").rename(folder)
    except subprocess.CalledProcessError as error:
        return None, (error.stderr or str(error)).strip().splitlines()[-1]
    except OSError as error:
        if not folder.is_dir():  # otherwise another process was faster
            return None, str(error)
    return folder, ""


def _build(staging: Path) -> None:
    wheels, unpacked, made = staging / "wheels", staging / "unpacked", staging / "made"
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), BINDINGS, LIBRARIES]
    subprocess.run(download, check=True, capture_output=True, text=True)
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    library = made / "lib"
    library.mkdir(parents=True)
    for path in (unpacked / "onnxruntime_ep_nv_tensorrt_rtx").glob("libtensorrt_*rtx.so.*.*.*"):
        shutil.move(path, library / path.name)
        (library / f"{path.name.partition('.so')[0]}.so.1").symlink_to(path.name)
    (made / "python").mkdir()
    shutil.move(unpacked / "tensorrt_bindings", made / "python" / "tensorrt")
    for stem, macro in STAND_INS.items():
        soname = f"lib{stem}.so.11"
        command = ["cc", "-O1", "-shared", "-fPIC", f"-D{macro}", f"-Wl,-soname,{soname}", "-o", str(library / soname)]
        subprocess.run([*command, str(FORWARD), "-ldl"], check=True, capture_output=True, text=True)
