"""Imports what was measured on the board, by the script or by `edgec-run`, into the artefact's evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgec.artefact.artefact import Artefact, Latency
from edgec.artefact.board_records import BoardResult, Output, RunResult, ScriptResult
from edgec.artefact.evidence import drop, keep
from edgec.artefact.verification import Verification
from edgec.errors import BadArtefact, CannotRunHere, first_problem, reason
from edgec.model.cost import fused_cost, layer_costs
from edgec.model.graph import label
from edgec.model.infer import infer_shapes
from edgec.model.load import load
from edgec.plain_file import read_json
from edgec.reference.compare import Comparison, OutputComparison
from edgec.targets.kernel_times import KernelTime, KernelTimes

SCHEMA = 1
LONGEST_RESULT = 1 << 20
"""Maximum size in bytes; those of real boards have some thousand."""


@dataclass(frozen=True)
class OnBoard:
    """What evidence.json stores of the result, under `board`."""

    where: str
    engine_bytes: int | None
    machine: dict[str, Any]
    warnings: tuple[str, ...]
    latency_ms: dict[str, dict[str, float]]
    throughput_per_s: float | None


def read_result(path: Path) -> BoardResult:
    """Read the result.json at `path`.

    Raises:
        BadArtefact: It is not a valid result.json.
        CannotRunHere: The board could not build, load or run the engine; the message is the board's.
    """
    try:
        data = read_json(path, LONGEST_RESULT)
    except (OSError, ValueError) as error:
        raise BadArtefact(f"{path}: {reason(error)}", remedy="Give the result.json that ./build.sh wrote.") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        version = data.get("schema") if isinstance(data, dict) else None
        raise BadArtefact(f"{path} has schema {version!r}, but this edgec reads {SCHEMA}", remedy="Give a result.json.")
    if data.get("status") == "failed":
        raise CannotRunHere(
            f"on the board: {data.get('message')}", remedy="Correct it there, and run ./build.sh again."
        )
    try:
        return ScriptResult.model_validate(data)
    except ValidationError as error:
        raise BadArtefact(f"{path}: {first_problem(error)}", remedy="Run ./build.sh on the board again.") from error


def import_result(artefact: Artefact, path: Path) -> BoardResult:
    """Store the measurements of the board in the evidence of `artefact`, where the report finds them.

    Raises:
        BadArtefact: The file is not a result.json, or belongs to another artefact.
        CannotRunHere: The board could not build, load or run the engine.
    """
    result = read_result(path)
    if result.engine is None or result.engine.model_sha256 != artefact.manifest.runtime.get("model_sha256"):
        remedy = "Copy this artefact to the board and run ./build.sh there."
        raise BadArtefact(f"{path} was measured on another artefact than {artefact.folder}", remedy=remedy)
    _keep(artefact, result)
    return result


def import_run(artefact: Artefact, path: Path, machine: Mapping[str, str]) -> BoardResult:
    """Store what `edgec-run --self-test --json` of `artefact` printed on a CPU board, as `import_result` does.

    Args:
        artefact: The artefact that ran.
        path: File with what it printed.
        machine: `system` and `model` of the board.

    Raises:
        BadArtefact: The file contains something else.
    """
    remedy = "Deploy it again."
    try:
        run = RunResult.model_validate(read_json(path, LONGEST_RESULT))
    except ValidationError as error:
        raise BadArtefact(f"the board's edgec-run: {first_problem(error)}", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise BadArtefact(f"the board's edgec-run: {reason(error)}", remedy=remedy) from error
    if [output.name for output in run.outputs] != [port.spec.name for port in artefact.manifest.outputs]:
        raise BadArtefact("the board's edgec-run has other outputs than this artefact", remedy=remedy)
    measured = {"end_to_end": run.statistics()} if run.passed else {}
    result = BoardResult(
        status="ok" if run.passed else "outputs differ",
        machine=dict(machine),
        warnings=(),
        outputs=tuple(Output(name=each.name, max_abs_error=None, error=each.error) for each in run.outputs),
        runs=len(run.times_ms) if run.passed else 0,
        threads=run.threads,
        latency_ms=measured,
        throughput_per_s=1e3 / measured["end_to_end"].median if measured else None,
    )
    _keep(artefact, result)
    return result


def _keep(artefact: Artefact, result: BoardResult) -> None:
    """Store the measurements in the artefact's evidence."""
    keep(artefact.folder, "verification", verification(artefact, result))
    parts: dict[str, dict[str, float]] = {name: times.model_dump() for name, times in result.latency_ms.items()}
    engine, throughput = result.engine, result.throughput_per_s
    size = engine.bytes if engine else None
    measured = OnBoard(result.where, size, result.machine, result.warnings, parts, throughput)
    keep(artefact.folder, "board", measured)
    _keep_layers(artefact, result)
    whole = result.latency_ms.get("end_to_end")
    if whole is None:  # times of an earlier engine must not be shown beside wrong outputs
        drop(artefact.folder, "latency")
    else:
        times = Latency(result.where, result.threads, result.runs, whole.median, whole.p90, whole.min)
        keep(artefact.folder, "latency", times)


def _keep_layers(artefact: Artefact, result: BoardResult) -> None:
    """Keep the times of the layers as those of kernels; those of an earlier engine go."""
    compute = result.latency_ms.get("compute")
    if not result.layers or compute is None:
        drop(artefact.folder, "kernels")
        return
    model = load(artefact.folder / artefact.manifest.runtime["model"]).model
    infer_shapes(model)
    costs = {cost.name: cost for cost in layer_costs(model)}
    known = {label(node): node for node in model.graph}
    order = {name: place for place, name in enumerate(known)}
    kernels = []
    for layer in result.layers:
        nodes = nodes_of(layer.name, order)
        macs, moved = fused_cost([known[name] for name in nodes], [costs[name] for name in nodes if name in costs])
        kernels.append(KernelTime(layer.name, nodes, layer.ms, macs, moved, 0.0))
    between = max(compute.median - sum(layer.ms for layer in result.layers), 0.0)
    times = KernelTimes(result.where, 1, result.runs, compute.median, between, 0.0, 0.0, tuple(kernels))
    keep(artefact.folder, "kernels", times)


def nodes_of(layer: str, order: Mapping[str, int]) -> tuple[str, ...]:
    """Return the ONNX nodes that a layer of an engine computes, by its name.

    TensorRT joins the names of fused nodes (`conv1 + relu1`, `a || b`), wraps those of pointwise ones (`PWN(relu1)`),
    puts what it adds in front of one (`Reformatting CopyNode for Input Tensor 0 to conv1`), and names a part that it
    compiled as one by its ends (`{ForeignNode[first...last]}`).

    Args:
        layer: Name of the layer.
        order: Place of each node of the model, by name.
    """
    if layer.startswith("Reformatting"):
        return ()
    whole = re.search(r"\{ForeignNode\[(.*)\.\.\.(.*)\]\}", layer)
    if whole is not None and whole[1] in order and whole[2] in order:
        first, last = order[whole[1]], order[whole[2]]
        return tuple(name for name, place in order.items() if first <= place <= last)
    return tuple(part for part in re.split(r" \+ | \|\| |\[|\]|\(|\)|, ", layer) if part in order)


def verification(artefact: Artefact, result: BoardResult) -> Verification:
    """Return the comparison that was made on the board."""
    outputs = tuple(
        OutputComparison(output.name, output.max_abs_error or 0.0, output.error)
        if output.error is not None
        else OutputComparison(output.name, float("inf"), float("inf"), "not a number")
        for output in result.outputs
    )
    manifest = artefact.manifest
    return Verification(result.where, manifest.tolerance, Comparison(outputs), manifest.options.precision)
