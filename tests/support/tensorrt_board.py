"""A board for tests: TensorRT artefacts, and their script run with stand-ins for TensorRT and the CUDA runtime."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.artefact.files import MANIFEST, list_files, write_sums
from edgec.model.signature import TensorSpec, inputs_of, outputs_of
from edgec.options import compile_options
from edgec.record import Record
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.base import LoweringContext
from edgec.targets.board import load_board
from edgec.targets.tensorrt import TensorRTTarget
from tests.support.models import model, random_weights

STAND_IN = Path(__file__).with_name("tensorrt_stand_in")
VERSION_OF = {"jetson-tx2": "8.2.1.8", "jetson-agx-xavier": "8.5.2", "jetson-agx-orin": "10.3.0"}
SM_OF = {"jetson-tx2": 62, "jetson-agx-xavier": 72, "jetson-agx-orin": 87}

RANGE = {"min": [1, 3, 4, 4], "opt": [1, 3, 8, 8], "max": [1, 3, 16, 16]}
"""Shapes of the small network's input."""

SMALL = """
net (float[1, 3, 8, 8] image) => (float[1, 4, 8, 8] y, int64[1, 1, 8, 8] best)
{ c = Conv <pads = [1, 1, 1, 1]> (image, w, b)  y = HardSwish (c)  best = ArgMax <axis = 1> (y) }
"""


def small_model() -> ir.Model:
    """Return a network with a float and an integer output."""
    return model(SMALL, random_weights(w=(4, 3, 3, 3), b=(4,)))


def write_artefact(
    folder: Path, network: ir.Model, *, board: str = "jetson-tx2", precision: str = "fp32", **runtime: Any
) -> Record:
    """Write what the driver writes: the lowered model, golden data, manifest.json with `runtime` added."""
    record, feeds = Record(), random_inputs(inputs_of(network), 0)
    results = Reference(network).run(feeds)
    folder.mkdir(parents=True, exist_ok=True)
    options = compile_options({"target": board, "precision": precision})
    context = LoweringContext(load_board(board), options, folder, record, [feeds])
    lowered = TensorRTTarget().lower(network, context)
    accepted = {"fp32": 1e-4, "fp16": 2e-2, "int8": 1e-1}[precision]
    manifest = {
        "inputs": _golden(folder, "inputs", inputs_of(network), feeds, None),
        "outputs": _golden(folder, "outputs", outputs_of(network), results, accepted),
        "board": load_board(board).model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "runtime": {**lowered.runtime, **runtime},
    }
    write_manifest(folder, manifest)
    return record


def _golden(
    folder: Path, kind: str, specs: tuple[TensorSpec, ...], arrays: dict[str, Any], accepted: float | None
) -> list[dict[str, Any]]:
    (folder / "golden" / kind).mkdir(parents=True)
    ports = []
    for index, spec in enumerate(specs):
        path = f"golden/{kind}/{index}.npy"
        np.save(folder / path, arrays[spec.name])
        ports.append(spec.model_dump(mode="json") | {"golden": path, "more": [], "accepted": accepted, "rows": None})
    return ports


def dynamic_artefact(folder: Path, board: str) -> None:
    """Write the small network's artefact for shapes within `RANGE`, its sizes open in the lowered model."""
    write_artefact(folder, small_model(), board=board, profiles={"image": RANGE})
    network = onnx.load(folder / "model.onnx")
    for value in (*network.graph.input, *network.graph.output):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"s{axis}"
    del network.graph.value_info[:]
    onnx.save(network, folder / "model.onnx")
    set_runtime(folder, model_sha256=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest())


def set_runtime(folder: Path, **entries: object) -> None:
    """Change entries of the manifest's `runtime`."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["runtime"].update(entries)
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: Any) -> None:
    """Write manifest.json and its hashes."""
    (folder / MANIFEST).write_text(json.dumps(manifest))
    renew_sums(folder)


def renew_sums(folder: Path) -> None:
    """Write SHA256SUMS for the files that are there, as if they had been compiled so."""
    write_sums(folder, list_files(folder))


@dataclass(frozen=True)
class Outcome:
    """How the script ended."""

    code: int
    stdout: str
    stderr: str
    calls: list[list[Any]]
    result: dict[str, Any] | None

    def names(self) -> list[str]:
        """Return the names of the TensorRT calls that were recorded, in order."""
        return [call[0] for call in self.calls]


def run_on_board(
    folder: Path, *arguments: str, board: str = "jetson-tx2", python: str = sys.executable, **environment: str
) -> Outcome:
    """Run build_engine.py in `folder` as on `board`; `environment` sets faults, see the stand-ins.

    The working directory is another one, as when called by path.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        log = Path(elsewhere) / "calls"
        process = subprocess.run(
            [python, str(folder / "build_engine.py"), *arguments],
            cwd=elsewhere,
            start_new_session=True,  # an interrupt is for it alone
            env=board_environment(board) | {"STAND_IN_LOG": str(log)} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    result = folder / "result.json"
    parsed = json.loads(result.read_text()) if result.exists() else None
    return Outcome(process.returncode, process.stdout, process.stderr, calls, parsed)


def board_environment(board: str) -> dict[str, str]:
    """Return the environment in which Python finds the stand-ins."""
    return os.environ | {
        "PYTHONPATH": str(STAND_IN),
        "LD_LIBRARY_PATH": str(cuda_stand_in()),
        "STAND_IN_VERSION": VERSION_OF[board],
        "STAND_IN_SM": str(SM_OF[board]),
    }


def cuda_stand_in() -> Path:
    """Return the folder with the stand-in for libcudart.so, built on the first call and removed at the end."""
    return Path(_cuda_stand_in().name)


@cache
def _cuda_stand_in() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="edgec-cudart-")
    command = ["cc", "-shared", "-fPIC", "-o", f"{folder.name}/libcudart.so", str(STAND_IN / "cudart.c")]
    subprocess.run(command, check=True)
    return folder
