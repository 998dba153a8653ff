"""Lowers small networks for a given CPU model, runs them here, and compares with a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import tvm
from tvm import relax

from edgec.model.signature import inputs_of, outputs_of
from edgec.model.true_sizes import true_sizes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model
from edgec.targets.tvm.executable import executable
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.report import LoweringReport

HOST = load_board("host")
PROFILE = Profile(bounded_sizes=True)
MODEL = cpu_model(HOST)
# The rules of other CPUs, executed by this one: NEON's tiles and lane loads, AVX2's sixteen registers.
SMALL_MODELS = (
    MODEL,
    CpuModel("avx2", 8, 16, 2, 4, 32 << 10, 256 << 10, cores=2),
    CpuModel("neon", 4, 32, 2, 4, 32 << 10, 512 << 10, cores=4),
)
TOLERANCE = 1e-5


def build_module(build: Callable[..., Any], shapes: Sequence[tuple[int, ...]], seed: int = 0) -> tvm.IRModule:
    rng = np.random.default_rng(seed)
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(list(shape), "float32")) for i, shape in enumerate(shapes)]
    with builder.function("main", params):
        with builder.dataflow():
            normalize = NormalizingRng(rng, builder)
            value = build(*params, normalize)
            result = builder.emit_output(builder.normalize(value))
        builder.emit_func_output(result)
    return builder.finalize()


class NormalizingRng:
    """numpy's generator, so that a test's random weights come from the one seed."""

    def __init__(self, rng: np.random.Generator, builder: relax.BlockBuilder) -> None:
        self._rng = rng
        self.emit = builder.emit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rng, name)


def execute(module: tvm.IRModule, target: tvm.target.Target, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    result = relax.VirtualMachine(executable(module, target), tvm.cpu())["main"](
        *(tvm.runtime.tensor(value) for value in inputs)
    )
    return [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]


def run_network(
    network: ir.Model, feeds: Mapping[str, np.ndarray], model: CpuModel = MODEL
) -> tuple[dict[str, np.ndarray], LoweringReport]:
    """Return the outputs of an ONNX network, canonicalized, imported and lowered for `model`, and the report."""
    target = llvm_target(resolve(HOST))
    canonical = pipeline.run(network, profile=PROFILE, options=CompileOptions(target="host"), record=Record())
    lowered = lower_with_report(to_relax(canonical), model, target)
    arrays = execute(lowered.module, target, [feeds[spec.name] for spec in inputs_of(network)])
    results = {spec.name: array for spec, array in zip(outputs_of(canonical), arrays, strict=True)}
    return true_sizes(canonical).trim(results), lowered.report


def lowered_network(network: ir.Model) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Return an ONNX network as `run_network` lowers it, to be called with inputs."""
    target = llvm_target(resolve(HOST))
    canonical = pipeline.run(network, profile=PROFILE, options=CompileOptions(target="host"), record=Record())
    lowered = lower_with_report(to_relax(canonical), MODEL, target)
    main = relax.VirtualMachine(executable(lowered.module, target), tvm.cpu())["main"]
    inputs, outputs = inputs_of(network), outputs_of(canonical)

    def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        result = main(*(tvm.runtime.tensor(feeds[spec.name]) for spec in inputs))
        arrays = [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]
        return true_sizes(canonical).trim(dict(zip((spec.name for spec in outputs), arrays, strict=True)))

    return run


def check(
    build: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],
    model: CpuModel = MODEL,
    *,
    tolerance: float = TOLERANCE,
) -> LoweringReport:
    """Compare `build` lowered for `model` with the same function unscheduled; return the lowering's report."""
    target = llvm_target(resolve(HOST))
    module = build_module(build, shapes)
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    expected = execute(module, target, inputs)
    lowered = lower_with_report(build_module(build, shapes), model, target)
    for got, want in zip(execute(lowered.module, target, inputs), expected, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(want).max())))
    return lowered.report
