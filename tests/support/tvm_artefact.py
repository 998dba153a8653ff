"""A small network compiled by the TVM back end, and calls of its `edgec-run`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from edgec.api.compile import compile as compile_model
from edgec.artefact.artefact import Artefact
from edgec.targets.tvm.run import SYSROOTS
from tests.support.models import model, random_weights

SMALL = """
small (float[1, 3, 20, 20] image, float[1, 8] extra)
=> (float[1, 8, 10, 10] features, float[1, 4] scores, int64[1] best)
{
  c = Conv <pads = [1, 1, 1, 1]> (image, w, b)
  r = Relu (c)
  features = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  g = GlobalAveragePool (features)
  f = Flatten (g)
  sum = Add (f, extra)
  m = MatMul (sum, v)
  scores = Softmax <axis = 1> (m)
  best = ArgMax <axis = 1, keepdims = 0> (scores)
}
"""
"""Two inputs, three outputs of two types, a convolution large enough to be run in parallel."""


def small_model() -> ir.Model:
    """Return `SMALL` with random weights."""
    return model(SMALL, random_weights(w=(8, 3, 3, 3), b=(8,), v=(8, 4)))


def compiled(folder: Path, target: str, network: ir.Model | None = None, **options: Any) -> Artefact:
    """Compile `network`, by default the small one, into `folder`; skip where the back end is not installed."""
    for module in ("tvm", "ziglang"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'edgec[tvm]'")
    return compile_model(network or small_model(), target=target, output=folder, **options)


def edgec_run(artefact: Artefact, *arguments: str, emulator: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Call the artefact's own runner, as a user on the board would: without any variable of TVM's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TVM_")}
    command = [*emulator, str(artefact.folder / "edgec-run"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean, timeout=300)


def require_emulator() -> None:
    """Skip the test where AArch64 code cannot be run."""
    sysroot, packages = SYSROOTS["aarch64"]
    if shutil.which("qemu-aarch64") is None or not (sysroot / "lib" / "libstdc++.so.6").exists():
        pytest.skip(f"no AArch64 emulator: sudo apt-get install {packages}")
