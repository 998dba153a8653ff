"""Parses and builds every network with the real TensorRT (for RTX, no GPU): layers, engine size, build time, refusals.

    python bench/tensorrt_builds.py [NETWORK ...]

Each network in four forms: the one for TensorRT 8.2 (what a Jetson TX2 is given), FP32, FP16 and int8 (Q/DQ pairs by
`edgec quantize --style tensorrt`) for `--target rtx`; cells with slashes are in that order. Build time is the wall time
of the builder's process, its start included. Engines are built, not run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import onnx
import onnx_ir as ir

import edgec
from edgec.compress.quantization import quantize_model
from edgec.data.samples import Sample, Samples
from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import TensorSpec, inputs_of
from edgec.passes.prepare import prepare
from edgec.quantizing import QuantizeOptions
from edgec.reference.golden import golden_inputs
from edgec.targets.tensorrt import rtx

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support import tensorrt_cpu
from tests.support.architectures import ARCHITECTURES
from tests.support.real_models import REAL_MODELS

WORKSPACE_MIB = 1024
FORMS = (("jetson-tx2", "fp32"), ("rtx", "fp32"), ("rtx", "fp16"), ("rtx", "int8"))


class Pages(Samples):
    """Two printed pages: enough for ranges of an engine that is not run."""

    def __init__(self, specs: tuple[TensorSpec, ...]) -> None:
        self._specs = specs

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"page-{index}", golden_inputs(self._specs, index))


def main() -> None:
    warnings.filterwarnings("ignore")
    os.environ |= tensorrt_cpu.environment()
    wanted = sys.argv[1:] or [*REAL_MODELS, *ARCHITECTURES]
    print("| network | layers | engine MiB | build s | layers kept in FP32 by fp16 | refusals |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in wanted:
        proto, shapes = source(name)
        if proto is None:
            continue
        rows = [row(proto, shapes, target, precision) for target, precision in FORMS]
        layers, sizes, seconds = (" / ".join(cells[column] for cells in rows) for column in range(3))
        refused = "; ".join(cells[4] for cells in rows if cells[4]) or "none"
        print(f"| {name} | {layers} | {sizes} | {seconds} | {rows[2][3]} | {refused} |", flush=True)


def source(name: str) -> tuple[onnx.ModelProto | None, dict[str, tuple[int, ...]]]:
    if name in ARCHITECTURES:
        return ARCHITECTURES[name](), {}
    real = REAL_MODELS[name]
    return (real.load() if real.path is not None else None), real.shapes


def row(proto: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], target: str, precision: str) -> list[str]:
    model: ir.Model | onnx.ModelProto = proto
    if precision == "int8":
        prepared = prepare(fix_shapes(load(proto).model, shapes))
        settings = QuantizeOptions(style="tensorrt", calibrator="minmax", repair=False, equalize=False)
        model = quantize_model(prepared, Pages(inputs_of(prepared)), settings).quantized.model
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "artefact"
        try:
            artefact = edgec.compile(model, target=target, precision=precision, shapes=shapes, output=place)
            started = time.perf_counter()
            built = rtx.build_engine(place / "model.onnx", Path(folder) / "engine", WORKSPACE_MIB)
        except EdgecError as error:
            return ["-", "-", "-", "-", error.problem]
        seconds = time.perf_counter() - started
        pinned = str(len(artefact.manifest.runtime["fp32_layers"]))
        return [str(built["layers"]), f"{built['bytes'] / 2**20:.1f}", f"{seconds:.1f}", pinned, ""]


if __name__ == "__main__":
    main()
