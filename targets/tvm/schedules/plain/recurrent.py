"""Recurrent layers: all steps in one kernel, see `recurrent_kernel`; a matmul multiplies the inputs beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tvm import tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.recurrence import RECURRENCE, Recurrence
from edgec.targets.tvm.regions.facts import Array, Results
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.plain.recurrent_kernel import Parameter, Result, recurrence_function
from edgec.targets.tvm.schedules.plain.recurrent_plan import pack, pack_rows, products

RESULTS = ("sequence", "state", "cell")
"""Results of the operator, in order."""
ROWS = ("scales", "bias", "peepholes")
"""Operands with one number for each unit of some gates."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` computes the steps of a recurrent layer."""
    return node.op == RECURRENCE


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a recurrent layer; it writes only results that are read, in their readers' axis order."""
    node = region.anchor
    what, names = described(node.attrs)
    read = node.known(Results).read
    results = [Result(RESULTS[index], last.shape, axes) for index, axes, last in read]
    function, arguments = recurrent_function(what, dict(zip(names, node.args, strict=True)), results, cpu)
    operands = [Operand(argument) for argument in arguments]
    written = [last for _, _, last in read]
    detail = f"{what.kind} {what.steps} steps, {what.hidden} units"
    return Kernel(function, operands, written[0].shape, detail=detail, results=written)


def described(attributes: Any) -> tuple[Recurrence, list[str]]:
    """Return the layer that a call of the operator with `attributes` computes, and the names of its operands."""
    return Recurrence.model_validate_json(str(attributes["recurrence"])), str(attributes["operands"]).split(",")


def recurrent_function(
    what: Recurrence, operands: Mapping[str, Any], results: Sequence[Result], cpu: CpuModel
) -> tuple[tirx.PrimFunc, list[Any]]:
    """Return the scheduled function and its arguments: `operands`, with constants packed.

    Args:
        what: The layer.
        operands: By name: `sums` over the inputs [steps, batch, directions * gates * columns], where the columns of a
            gate are its units filled up with zeros; `weights` as ONNX's R, its `scales` a row where it is int8, the
            `bias` of a candidate [directions, hidden] that a reset gate scales, `peepholes`, all as arrays; `lengths`,
            `state` and `cell` as ONNX has them, arrays or anything with shape and dtype.
        results: The results to write.
        cpu: The CPU.
    """
    tiles = products(what, cpu)
    given = {name: value for name, value in operands.items() if name not in ("weights", *ROWS)}
    weights = operands["weights"]
    stored = weights.dtype if weights.dtype == np.int8 else np.dtype(cpu.storage)
    given |= {f"weights{at}": pack(weights, what, tile).astype(stored) for at, tile in enumerate(tiles)}
    given |= {name: pack_rows(operands[name], what, gates) for name, gates in _row_constants(what, operands)}
    parameters = [Parameter(name, tuple(value.shape), _dtype(value)) for name, value in given.items()]
    return recurrence_function(what, tiles, parameters, results, cpu.cores), list(given.values())


def _row_constants(what: Recurrence, operands: Mapping[str, Any]) -> list[tuple[str, int]]:
    counts = {"scales": what.gates, "bias": 1, "peepholes": 3}
    return [(name, counts[name]) for name in ROWS if name in operands]


def _dtype(value: Array | Node) -> str:
    return str(value.dtype)


RULE = Rule("recurrent", "plain", match, lower)
