#!/usr/bin/env python3
"""Loads this folder's engine on an RTX GPU, compares its outputs with the golden ones, measures: `./run_engine.py`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

MODULES = "onboard"
"""The folder beside this file, in the artefact."""


def open_runner(folder: str, modules: str = MODULES) -> Any:
    """Return the engine in the artefact `folder`; `modules` is the package of the modules that load it.

    Raises:
        ImportError: Neither `tensorrt_rtx` nor `tensorrt` is installed.
        Failure: There is no CUDA runtime or no GPU, or TensorRT rejects the engine.
    """
    try:
        sys.modules["tensorrt"] = importlib.import_module("tensorrt_rtx")  # it has the same API under another name
    except ImportError:
        importlib.import_module("tensorrt")
    engine: Any = importlib.import_module(f"{modules}.runner").Engine  # builds nothing: the artefact has the engine
    cuda: Any = importlib.import_module(f"{modules}.cuda").Cuda
    read: Any = importlib.import_module(f"{modules}.settings").read_settings
    return engine(cuda(), read(folder))


def main() -> int:
    """Verify and measure; return 0, 1 if outputs differ, 2 if the engine cannot run here."""
    folder = Path(__file__).resolve().parent
    try:
        importlib.import_module(f"{MODULES}.sums").check_files(str(folder))
        runner = open_runner(str(folder))
    except Exception as error:
        print(
            f"run_engine.py: {error}. It needs an RTX GPU, its driver and `pip install tensorrt-rtx`.", file=sys.stderr
        )
        return 2
    outputs = importlib.import_module(f"{MODULES}.verify").verify(runner.session, runner.settings)
    passed = all(output["passed"] for output in outputs)
    result: dict[str, Any] = {"schema": 1, "status": "ok" if passed else "outputs differ", "outputs": outputs}
    if passed:
        result |= importlib.import_module(f"{MODULES}.measure").measure(runner.session, 1.0, 100)
    (folder / "result.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2, sort_keys=True))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
