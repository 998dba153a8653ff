"""What each part of edgec makes of a graph, compared with ONNX Runtime: right, refused with a reason, or at fault."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

import edgec
from edgec import Measuring, prune
from edgec.compress.quantization import quantize_model
from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.passes.contract import Interface, check_valid
from edgec.passes.prepare import prepare
from edgec.profile import Profile
from edgec.quantizing import QuantizeOptions
from edgec.record import Record
from edgec.reference.compare import compare
from edgec.targets.tensorrt.check import check
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import known_limits
from tests.support import masked_channels
from tests.support.masked_channels import random_plan
from tests.support.random_graphs.graph import run_model
from tests.support.samples import Drawn

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]

REWRITE, LOWERING = 1e-5, 1e-4
"""Largest error relative to the range of an output: of a rewrite, and of other code for the same sums."""
NOISE_FACTOR = 4
ROUNDING_STEPS = 64
"""Error, in rounding steps of the largest value that a graph may hold, that says nothing of an output near zero."""
HALVES = 1e-2
"""The same where values are kept in half precision: ONNX Runtime leaves out pairs of casts, and rounds less."""
FLOAT16 = onnx.TensorProto.FLOAT16
SOUND, TINY = 0.25, 1e-3
"""Error of quantized outputs as a share of their length, if that says something: hundreds of graphs are below 3 %."""
SAMPLES = 4
JETSONS = (("jetson-tx2", "fp32"), ("jetson-tx2", "fp16"), ("jetson-orin-nano", "fp16"))
NEWEST_IR_VERSION = 10
"""That ONNX Runtime takes."""


class Fault(AssertionError):
    """A part of edgec did what it must not."""


@dataclass(frozen=True)
class Case:
    """A graph with inputs, what ONNX Runtime makes of them, and how far that itself is from being exact.

    `noise` holds, by output, the largest error that ONNX Runtime makes against itself: optimised, and with its inputs
    moved by one rounding step.
    """

    proto: onnx.ModelProto
    feeds: tuple[Feeds, ...]
    expected: tuple[Feeds, ...]
    noise: dict[str, float]

    @property
    def model(self) -> ir.Model:
        """The graph as the front end hands it on."""
        return fix_shapes(load(self.proto).model, {})


def case_of(proto: onnx.ModelProto) -> Case:
    """Return `proto` with two sets of inputs: as it was grown with, and from -1 to 1."""
    feeds = tuple(inputs_for(proto, seed) for seed in (0, 1))
    expected = tuple(_run(proto, each) for each in feeds)
    noise = {output.name: 0.0 for output in proto.graph.output}
    for each, want in zip(feeds, expected, strict=True):
        moved = {name: _next(array) for name, array in each.items()}
        for other in (_optimized(proto, each) or want, _run(proto, moved)):
            for output in compare(want, other).outputs:
                noise[output.name] = max(noise[output.name], output.max_abs if output.problem is None else np.inf)
    return Case(proto, feeds, expected, noise)


def inputs_for(proto: onnx.ModelProto, seed: int) -> Feeds:
    rng, made = np.random.default_rng(seed), {}
    for value in proto.graph.input:
        tensor = value.type.tensor_type
        shape = [dim.dim_value for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if dtype.kind == "f":
            made[value.name] = np.asarray(rng.uniform(-seed, 1, shape), dtype)
        else:
            made[value.name] = np.asarray(rng.integers(0, 2 if dtype.kind == "b" else 10, shape)).astype(dtype)
    return made


def _run(proto: onnx.ModelProto, feeds: Feeds, *, optimize: bool = False) -> Feeds:
    names = [output.name for output in proto.graph.output]
    return dict(zip(names, run_model(proto, feeds, optimize=optimize), strict=True))


def _optimized(proto: onnx.ModelProto, feeds: Feeds) -> Feeds | None:
    try:
        return _run(proto, feeds, optimize=True)
    except Exception:  # its optimizations break some graphs, by exceptions without a base of their own
        return None


def _next(array: Array) -> Array:
    return np.asarray(np.nextafter(array, np.array(np.inf, array.dtype))) if array.dtype.kind == "f" else array


def agree(case: Case, run: Callable[[Feeds], Feeds], tolerance: float) -> None:
    """Compare outputs with the reference's; small differences count where the reference differs from itself too.

    Raises:
        Fault: They differ, in type and shape too.
    """
    halves = any(node.op_type == "Cast" and node.attribute[0].i == FLOAT16 for node in case.proto.graph.node)
    step = ROUNDING_STEPS * float(np.finfo(np.float32).eps) if not halves else HALVES
    for feeds, want in zip(case.feeds, case.expected, strict=True):
        for output in compare(want, run(feeds)).outputs:
            largest = float(np.abs(want[output.name].astype(np.float64)).max(initial=0)) if output.name in want else 0
            allowed = max(NOISE_FACTOR * case.noise.get(output.name, 0.0), step * max(1.0, largest) * 1e-1)
            if not (output.within(tolerance) or (output.problem is None and output.max_abs <= allowed)):
                raise Fault(str(output))


def canonical(case: Case) -> ir.Model:
    """Run the passes of every compilation; their result computes the same, keeps its interface and is at rest."""
    model = case.model
    options = CompileOptions(target="host")
    after = pipeline.run(model, profile=Profile(), options=options, record=Record())
    check_valid(after, "all passes")
    Interface.of(model).check(after, "all passes")
    agree(case, runner(after), REWRITE)
    record = Record()
    pipeline.run(after, profile=Profile(), options=options, record=record)
    moved = [f"{entry.name}: {entry.changes[:2]}" for entry in record.passes if entry.modified]
    if moved:
        raise Fault(f"not at rest: {moved}")
    return after


def opened(case: Case) -> None:
    """Leave the sizes of inputs open, and say nothing of outputs: fixed again, it is the same network."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.proto)
    shapes = {}
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(dim.dim_value for dim in dims)
        for index, dim in enumerate(dims):
            dim.dim_param = f"{value.name}_{index}"
    for value in proto.graph.output:
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{index}"
    fixed = fix_shapes(load(proto).model, shapes)
    after = pipeline.run(fixed, profile=Profile(), options=CompileOptions(target="host"), record=Record())
    Interface.of(case.model).check(after, "all passes")
    agree(case, runner(after), REWRITE)


def runner(model: ir.Model) -> Callable[[Feeds], Feeds]:
    """Return `model` in ONNX Runtime."""
    proto = _proto(model)
    return lambda feeds: _run(proto, feeds)


def _proto(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    proto.ir_version = min(proto.ir_version, NEWEST_IR_VERSION)
    return proto


def tensorrt(case: Case) -> None:
    """Legalize for every TensorRT: what is left computes the same, and `check` says something of each node."""
    model = pipeline.run(case.model, profile=Profile(), options=CompileOptions(target="host"), record=Record())
    for limits in known_limits():
        legal = model.clone()
        legalize(legal, limits)
        findings = check(model, limits)
        if len(findings) != len(list(model.graph.all_nodes())):
            raise Fault(f"TensorRT {limits.version}: {len(findings)} findings")
        if not any(finding.verdict == "refused" for finding in findings):
            check_valid(legal, f"legalize for {limits.version}")
            agree(case, runner(legal), LOWERING)


def jetson(case: Case) -> None:
    """Compile for a Jetson board, another one or in another precision for other graphs: an artefact, or a refusal."""
    board, precision = JETSONS[len(case.proto.graph.node) % len(JETSONS)]
    with tempfile.TemporaryDirectory() as folder:
        edgec.compile(case.proto, target=board, output=Path(folder) / "artefact", precision=precision)


def _drawn(proto: onnx.ModelProto) -> Drawn:
    """Return inputs of the kind a graph was grown with."""
    return Drawn([_between(proto, seed) for seed in range(SAMPLES)])


def _between(proto: onnx.ModelProto, seed: int) -> Feeds:
    drawn = inputs_for(proto, 1000 + seed)
    return {
        name: np.asarray(array / 1000, array.dtype) if array.dtype.kind == "f" else array
        for name, array in drawn.items()
    }


def quantized(case: Case) -> None:
    """Quantize: the result is valid, keeps its interface, and its outputs are near, on inputs like the samples."""
    model = prepare(case.model)
    style = "tensorrt" if len(case.proto.graph.node) % 2 else "runtime"
    samples = _drawn(case.proto)
    result = quantize_model(model, samples, QuantizeOptions(style=style, calibrator="minmax"))
    made = result.quantized.model
    check_valid(made, "quantize")
    Interface.of(case.model).check(made, "quantize")
    run = runner(made)
    _finite(case, run)
    for sample in samples:
        answers = run(dict(sample.inputs))
        for name, want in _run(case.proto, dict(sample.inputs)).items():
            length = float(np.linalg.norm(want)) if want.dtype.kind == "f" else 0.0
            if length > TINY and np.linalg.norm(want - answers[name]) > SOUND * length:
                raise Fault(f"{name}: off by {np.linalg.norm(want - answers[name]) / length:.0%} on integers")


def _finite(case: Case, run: Callable[[Feeds], Feeds]) -> None:
    for feeds, want in zip(case.feeds, case.expected, strict=True):
        for name, array in run(feeds).items():
            if array.shape != want[name].shape or array.dtype != want[name].dtype:
                raise Fault(f"{name}: {array.dtype}{array.shape} instead of {want[name].dtype}{want[name].shape}")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Fault(f"{name} is not finite")


def sliced(case: Case) -> None:
    """Remove channels: what is left equals the network in which the weights of those channels are zero."""
    model = prepare(case.model)
    plan = random_plan(model, seed=len(case.proto.graph.node))
    after = masked_channels.sliced(model, plan)
    agree(case_of(_proto(masked_channels.masked(model, plan))), runner(after), LOWERING)


def pruned(case: Case) -> None:
    """Prune by data, with repair: the result is valid, keeps its interface, and its outputs are finite."""
    result = prune(case.proto, measuring=Measuring(_drawn(case.proto), workers=0), ratio=0.3)
    check_valid(result.model, "prune")
    Interface.of(case.model).check(result.model, "prune")
    _finite(case, runner(result.model))


def lowered(case: Case) -> None:
    """Compile for this machine's CPU, and run."""
    import tvm
    from tvm import relax

    from edgec.targets.board import load_board
    from edgec.targets.tvm.cpu import llvm_target, resolve
    from edgec.targets.tvm.executable import executable
    from edgec.targets.tvm.from_onnx import to_relax
    from edgec.targets.tvm.pipeline import lower_relax

    model = pipeline.run(case.model, profile=Profile(), options=CompileOptions(target="host"), record=Record())
    board = load_board("host")
    built = executable(lower_relax(to_relax(model), board), llvm_target(resolve(board)))
    main = relax.VirtualMachine(built, tvm.cpu())["main"]
    names = [str(value.name) for value in model.graph.inputs]
    outputs = [str(value.name) for value in model.graph.outputs]

    def run(feeds: Feeds) -> Feeds:
        result = main(*(tvm.runtime.tensor(feeds[name]) for name in names))
        arrays = [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]
        return dict(zip(outputs, arrays, strict=True))

    agree(case, run, LOWERING)


STAGES: dict[str, Callable[[Case], Any]] = {
    "canonicalize": canonical,
    "opened": opened,
    "tensorrt": tensorrt,
    "jetson": jetson,
    "quantize": quantized,
    "slice": sliced,
    "prune": pruned,
    "cpu": lowered,
}
PASSES = tuple(name for name in STAGES if name != "cpu")


@dataclass(frozen=True)
class Verdict:
    """What became of a graph in a stage: `kind` is right, refused, wrong or crashed."""

    stage: str
    kind: str
    message: str = ""


def judge(proto: onnx.ModelProto, stages: Sequence[str] = PASSES) -> list[Verdict]:
    """Put a graph through `stages`."""
    case = case_of(proto)
    if not all(
        np.isfinite(array).all() for want in case.expected for array in want.values() if array.dtype.kind == "f"
    ):
        case = Case(proto, case.feeds[:1], case.expected[:1], case.noise)
    return [_judged(case, name) for name in stages]


def _judged(case: Case, stage: str) -> Verdict:
    try:
        STAGES[stage](case)
    except EdgecError as error:
        return Verdict(stage, "refused", error.problem)
    except AssertionError as error:
        return Verdict(stage, "wrong", str(error)) if isinstance(error, Fault) else _crashed(stage, error)
    except Exception as error:
        return _crashed(stage, error)
    return Verdict(stage, "right")


def _crashed(stage: str, error: BaseException) -> Verdict:
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:300]
    return Verdict(
        stage, "crashed", f"{type(error).__name__}: {text} ({last.filename.rsplit('/', 2)[-1]}:{last.lineno})"
    )
