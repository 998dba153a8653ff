"""Steps of zoo.py that compute in Python: one call is one process, which prints its record as a line of JSON."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from scenes import network_input
from zoo_report import JETSONS

from edgec.reference.onnx_runtime import ort

Array = np.ndarray
Arrays = dict[str, Array]
PICTURES = 3
CALIBRATION = 8
TOLERANCE = 1e-4
NOISE_FACTOR = 4
"""A lowering rounds at other places than the reference, some of them more often."""
DRAWS = 2
UNSOUND = 0.5
"""Error of an output's length above which quantized or pruned outputs count as lost."""


def feeds(request: dict[str, Any], seed: int) -> Arrays:
    """Return the inputs of one seed: made as zoo.toml says, of the shapes there or else of the file's."""
    graph = onnx.load(request["path"], load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    network, made = request["network"], {}
    for index, value in enumerate(value for value in graph.input if value.name not in constants):
        tensor = value.type.tensor_type
        shape = network["shapes"].get(value.name, [dim.dim_value for dim in tensor.shape.dim])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        made[value.name] = np.asarray(network_input(network["inputs"][value.name], shape, dtype, 100 * index + seed))
    return made


def reference_file(request: dict[str, Any]) -> str | bytes:
    """Return the file, or the same without shapes where zoo.toml overrides a size that the file fixes."""
    from edgec.model.load import load  # noqa: PLC0415
    from edgec.model.shapes import open_shapes  # noqa: PLC0415

    shapes = request["network"]["shapes"]
    for value in onnx.load(request["path"], load_external_data=False).graph.input:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if any(dim and dim != size for dim, size in zip(dims, shapes.get(value.name, dims), strict=True)):
            return bytes(ir.to_proto(open_shapes(load(request["path"]).model)).SerializeToString())
    return str(request["path"])


def session(path: str | Path | bytes, *, optimized: bool) -> Callable[[Arrays], Arrays]:
    """Return the file in ONNX Runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    opened = ort.InferenceSession(
        path if isinstance(path, bytes) else str(path), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in opened.get_outputs()]
    return lambda inputs: dict(zip(names, opened.run(None, inputs), strict=True))


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Return what `edgec check` says for Jetson boards: nodes supported, rewritten and refused, and first reasons."""
    import edgec  # noqa: PLC0415
    from edgec.errors import EdgecError  # noqa: PLC0415

    shapes = {name: tuple(dims) for name, dims in request["network"]["shapes"].items()}
    boards = {}
    for name in JETSONS:
        try:
            found = edgec.check(request["path"], target=name, shapes=shapes)
        except EdgecError as error:
            return {"verdict": "refused", "message": f"{error.problem} {error.remedy or ''}", "boards": {}}
        refused = [
            f"{each.op_type} {each.where}: {each.reason}" for each in found.findings if each.verdict == "refused"
        ]
        counts = [found.counts[verdict] for verdict in ("supported", "rewritten", "refused")]
        boards[name] = {"counts": counts, "refused": refused[:3]}
    legal = sum(not each["counts"][2] for each in boards.values())
    return {"verdict": "done", "message": f"legal for {legal} of {len(boards)} boards", "boards": boards}


def size(request: dict[str, Any]) -> dict[str, Any]:
    """Return MACs in millions and weights in MB, as edgec counts them."""
    from edgec.errors import EdgecError  # noqa: PLC0415
    from edgec.model.cost import layer_costs  # noqa: PLC0415

    try:
        costs = layer_costs(fixed_model(request))
    except EdgecError:
        return {"verdict": "done"}
    megabytes = sum(cost.weight_bytes for cost in costs) / 1e6
    return {"verdict": "done", "mmacs": sum(cost.macs for cost in costs) / 1e6, "weights_mb": megabytes}


def fixed_model(request: dict[str, Any]) -> Any:
    """Return the model with its shapes fixed."""
    from edgec.model.load import load  # noqa: PLC0415
    from edgec.model.shapes import fix_shapes  # noqa: PLC0415

    shapes = {name: tuple(dims) for name, dims in request["network"]["shapes"].items()}
    return fix_shapes(load(request["path"]).model, shapes)


def compare(request: dict[str, Any]) -> dict[str, Any]:
    """Compare the artefact with ONNX Runtime on several inputs.

    Right is an output within the tolerance, or no farther from the reference than `NOISE_FACTOR` times what the
    reference differs from itself: optimised, with its inputs moved by one rounding step, and with every sum inside
    moved by a few. Where rows are ranked by scores, rows may have changed places.
    """
    import edgec  # noqa: PLC0415
    from edgec.reference.noise import ROUNDED, ROUNDING, perturbed  # noqa: PLC0415
    from edgec.reference.session import Reference  # noqa: PLC0415

    run = edgec.load(Path(request["scratch"]) / "host", threads=1).run
    plain, optimized = (session(reference_file(request), optimized=each) for each in (False, True))
    worst, kind, message = 0.0, "right", ""
    for seed in range(PICTURES):
        inputs = feeds(request, seed)
        expected, got = plain(inputs), run(inputs)
        moved = plain({name: _next(array) for name, array in inputs.items()})
        for name, want in expected.items():
            error = relative_error(want, got[name])
            worst = max(worst, error)
            if error <= TOLERANCE:
                continue
            summed = [Reference(perturbed(fixed_model(request), ROUNDING, draw, ROUNDED)).run for draw in range(DRAWS)]
            others = (optimized(inputs), moved, *(run(inputs) for run in summed))
            noise = max(relative_error(want, other[name]) for other in others)
            if error <= NOISE_FACTOR * noise:
                kind = "right" if kind == "wrong" else kind
                message = message or f"{name}: {error:.1e}, the reference's own {noise:.1e}"
            elif _as_sets(want, got[name]) <= TOLERANCE:
                message = message or f"{name}: rows in another order"
            else:
                kind, message = "wrong", f"{name}: {error:.1e}, the reference's own {noise:.1e}, seed {seed}"
    return {"verdict": kind, "message": message, "error": worst}


def relative_error(want: Array, got: Array) -> float:
    """Return the largest error relative to the range of `want`; infinite where shape, type or oddities differ."""
    from edgec.reference.compare import compare as edgec_compare  # noqa: PLC0415

    return edgec_compare({"y": np.asarray(want)}, {"y": np.asarray(got)}).relative


def _as_sets(want: Array, got: Array) -> float:
    """Return the largest distance of a row from the nearest of the other, relative to the range of its column."""
    if want.shape != got.shape or want.ndim < 2 or want.dtype.kind not in "fiu" or want.shape[-1] > 64:
        return np.inf
    a, b = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (want, got))
    if len(a) > 2000:
        return np.inf
    scale = np.ptp(a, axis=0) + 1e-9
    apart = np.abs(a[:, None] - b[None]) / scale
    distances = apart.max(axis=2)
    return float(max(distances.min(axis=0).max(), distances.min(axis=1).max()))


def _next(array: Array) -> Array:
    return np.asarray(np.nextafter(array, np.array(np.inf, array.dtype))) if array.dtype.kind == "f" else array


def timed(request: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds of CPU time, by turns, of the artefact, ONNX Runtime and OpenVINO."""
    from peers import cpu_ms, medians, onnx_runtime, open_vino  # noqa: PLC0415

    import edgec  # noqa: PLC0415
    from edgec.model.signature import outputs_of  # noqa: PLC0415

    model = fixed_model(request)
    proto = ir.to_proto(model).SerializeToString()
    inputs = feeds(request, 0)
    runs = {"ours": edgec.load(Path(request["scratch"]) / "host", threads=1).run, "onnxruntime": onnx_runtime(proto)}
    refused = ""
    try:
        runs["openvino"] = open_vino(proto, [spec.name for spec in outputs_of(model)])
        runs["openvino"](inputs)
    except Exception as error:  # whatever the peer raises: it has then no time
        refused = f"OpenVINO: {str(error).strip().splitlines()[-1][:150]}"
        runs.pop("openvino", None)
    bursts = 9 if cpu_ms(runs["ours"], inputs) < 300 else 5
    times = dict(zip(runs, medians(list(runs.values()), inputs, bursts), strict=True))
    return {
        "verdict": "done",
        "message": refused,
        "ms": times,
        **{k: v for k, v in size(request).items() if k != "verdict"},
    }


def data(request: dict[str, Any]) -> dict[str, Any]:
    """Write inputs for calibration, other ones than those that are judged by."""
    drawn = [feeds(request, 10 + seed) for seed in range(CALIBRATION)]
    if not all(array.ndim for array in drawn[0].values()):
        return {"verdict": "left out", "message": "an input has no axis to put samples along"}
    path = Path(request["scratch"]) / "calibration.npz"
    np.savez(path, **{name: np.concatenate([each[name] for each in drawn]) for name in drawn[0]})
    return {"verdict": "done", "data": str(path)}


def golden(request: dict[str, Any]) -> dict[str, Any]:
    """Write inputs for `edgec compile --input`."""
    arguments = []
    for index, (name, array) in enumerate(feeds(request, 0).items()):
        path = Path(request["scratch"]) / f"golden{index}.npy"
        np.save(path, array)
        arguments.append(f"--input={name}={path}")
    return {"verdict": "done", "arguments": arguments}


def judge(request: dict[str, Any], step: str) -> dict[str, Any]:
    """Compare the float network with what became of it: error of each output as a share of its length."""
    smaller = Path(request["scratch"]) / f"{step}.onnx"
    onnx.checker.check_model(str(smaller))
    before, after = session(request["path"], optimized=True), session(smaller, optimized=True)
    worst, where = 0.0, ""
    for name, error in _lengths(request, before, after):
        if error > worst:
            worst, where = error, name
    found = {"loss": worst, "where": where, "bytes": [Path(request["path"]).stat().st_size, smaller.stat().st_size]}
    return {"verdict": "done", "message": "" if worst <= UNSOUND else f"{where}: off by {worst:.0%}", **found}


def _lengths(request: dict[str, Any], before: Any, after: Any) -> Iterator[tuple[str, float]]:
    for seed in range(PICTURES):
        inputs = feeds(request, seed)
        expected, got = before(inputs), after(inputs)
        for name, want in expected.items():
            if want.dtype.kind != "f":
                continue
            if want.shape != got[name].shape:
                yield name, np.inf
                continue
            finite = np.isfinite(want)
            length = float(np.linalg.norm(want[finite].astype(np.float64)))
            yield name, float(np.linalg.norm((want - got[name])[finite].astype(np.float64))) / (length or 1.0)


STEPS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "check": check,
    "size": size,
    "compare": compare,
    "time": timed,
    "data": data,
    "golden": golden,
    "judge-quantize": lambda request: judge(request, "quantize"),
    "judge-prune": lambda request: judge(request, "prune"),
}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    asked = json.loads(sys.argv[1])
    print(json.dumps(STEPS[asked["step"]](asked)))
