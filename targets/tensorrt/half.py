"""Emulates a network in FP16 on this machine: its loss, and the layers that have to stay in FP32."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.model.graph import constant
from edgec.model.traits import QUANTIZERS
from edgec.profile import Emulation, Feeds
from edgec.reference.compare import compare
from edgec.reference.session import Reference

Array = np.ndarray[Any, Any]

LARGEST = 65504.0
"""The largest finite FP16."""
HEADROOM = 2.0
"""Factor by which values in use may exceed those that were seen."""
LOSS = 1e-2
"""Accepted error of an output relative to its range: half of what the board accepts, because its kernels add errors."""
SHARE = 0.125
"""Maximum fraction of layers that are pinned for rounding errors: if more are needed, FP16 as such is the problem."""
LEAST = 4
"""Number of layers that may be pinned in any network."""
SQUARING = frozenset({"InstanceNormalization", "LayerNormalization", "ReduceL2", "RMSNormalization"})
"""Operators whose kernels square their input, so that the square must fit too."""
FLOAT = ir.DataType.FLOAT


@dataclass(frozen=True)
class Pin:
    """A layer that has to stay in FP32, and the reason."""

    where: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class HalfPlan:
    """The layers that stay in FP32, and the resulting loss: largest error of an output, relative to its range.

    `loss_unpinned` is the loss without them; infinite if values overflow.
    """

    pins: tuple[Pin, ...]
    loss: float
    loss_unpinned: float

    @property
    def expected_error(self) -> float:
        """Error that kernels may cause by rounding alone, because they sum in another order than the emulation."""
        return min(2 * self.loss, 1.0)


@dataclass(frozen=True)
class _Measured:
    """Largest magnitude of values in FP32, the relative error that FP16 adds to them, and the losses of outputs."""

    peaks: dict[str, float]
    errors: dict[str, float]
    loss: float


def plan_half(model: ir.Model, samples: Iterable[Feeds], tolerance: float = LOSS) -> HalfPlan:
    """Find the layers of `model` for which FP16 is not enough, on `samples`.

    Emulation: every value and weight of a layer in FP16 is rounded to it; sums inside a layer are exact, as in kernels
    that accumulate in FP32. Layers stay in FP32 that write or read values which overflow, with room for values
    `HEADROOM` times as large. If an output is still off by more than `tolerance` of its range, the layers that add the
    largest errors stay too, more and more until it is not, or until they are more than `SHARE` of the layers: then none
    of them stays.

    Args:
        model: Model with static shapes; every node has a name. It is not modified.
        samples: Inputs by name, one inference each.
        tolerance: Accepted error, see above.
    """
    feeds = [dict(sample) for sample in samples]
    nodes = {node.name or "": node for node in _convertible(model)}
    everywhere = _measure(model, frozenset(), feeds)
    pins = {pin.where: pin for node in nodes.values() if (pin := _overflow(node, everywhere.peaks)) is not None}
    measured = _measure(model, pins.keys(), feeds) if pins else everywhere
    few, loss = _few_to_blame(model, nodes, pins, measured, feeds, tolerance)
    pins |= few
    return HalfPlan(tuple(pins[name] for name in nodes if name in pins), loss, everywhere.loss)


def in_half(model: ir.Model, samples: Iterable[Feeds]) -> Emulation:
    """Return `model` in FP16 as `plan_half` emulates it, with the layers in FP32 that it finds on `samples`.

    Args:
        model: As for `plan_half`.
        samples: Feeds, one inference each.
    """
    plan = plan_half(model, samples)
    kept = frozenset(pin.where for pin in plan.pins)
    return Emulation(_Emulated(model, kept).halves(), kept)


def _few_to_blame(
    model: ir.Model,
    nodes: Mapping[str, ir.Node],
    pins: Mapping[str, Pin],
    measured: _Measured,
    feeds: list[dict[str, Array]],
    tolerance: float,
) -> tuple[dict[str, Pin], float]:
    """Return the few layers that must stay in FP32 to keep `tolerance`, and the loss; none if many would have to."""
    few: dict[str, Pin] = {}
    batch, now = 1, measured
    while now.loss > tolerance and len(few) + batch <= max(LEAST, SHARE * len(nodes)):
        added = {name: _added_error(node, now.errors) for name, node in nodes.items() if name not in {**pins, **few}}
        for name in sorted(added, key=lambda name: added[name], reverse=True)[:batch]:
            reason = f"FP16 adds {added[name]:.1e} of the range to the error of {name!r}"
            # If a layer cancels, its inputs lack the digits.
            sources = [value.producer() for value in nodes[name].inputs if value is not None]
            for where in (name, *(source.name or "" for source in sources if source is not None)):
                if where in nodes and where not in pins:
                    few.setdefault(where, Pin(where, nodes[where].op_type, reason))
        now, batch = _measure(model, [*pins, *few], feeds), 2 * batch
    return (few, now.loss) if now.loss <= tolerance else ({}, measured.loss)


def _convertible(model: ir.Model) -> list[ir.Node]:
    """Return the nodes for which a precision is chosen: those that write floats, without control flow and Q/DQ."""
    return [
        node
        for node in model.graph
        if node.op_type not in QUANTIZERS
        and any(output.dtype == FLOAT for output in node.outputs)
        and not any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values())
    ]


def _overflow(node: ir.Node, peaks: Mapping[str, float]) -> Pin | None:
    for value in (*node.outputs, *node.inputs):
        peak = _peak(value, peaks)
        if not peak * HEADROOM <= LARGEST:
            return Pin(node.name or "", node.op_type, f"{value.name if value else ''!r} reaches {peak:.3g}")
    squared = _peak(node.inputs[0], peaks) ** 2 if node.op_type in SQUARING and node.inputs else 0.0
    if not squared * HEADROOM <= LARGEST:
        return Pin(node.name or "", node.op_type, f"the squares of its input reach {squared:.3g}")
    return None


def _peak(value: ir.Value | None, peaks: Mapping[str, float]) -> float:
    if value is None or value.dtype != FLOAT:
        return 0.0
    held = constant(value)
    return peaks.get(value.name or "", 0.0) if held is None else float(np.abs(held).max(initial=0))


def _added_error(node: ir.Node, errors: Mapping[str, float]) -> float:
    before = max((errors.get(value.name or "", 0.0) for value in node.inputs if value is not None), default=0.0)
    after = max(errors.get(value.name or "", 0.0) for value in node.outputs)
    return after if np.isinf(after) else after - before


def _measure(model: ir.Model, kept: Collection[str], feeds: list[dict[str, Array]]) -> _Measured:
    emulated = _Emulated(model, kept)
    session = Reference(emulated.model)
    floats = [value.name or "" for value in model.graph.outputs if value.dtype == FLOAT]
    peaks, errors = np.zeros(len(emulated.watched)), np.zeros(len(emulated.watched))
    loss = 0.0
    for sample in feeds:
        results = session.run(sample)
        peak = results[emulated.peaks].astype(np.float64)
        error = np.nan_to_num(results[emulated.errors].astype(np.float64), nan=np.inf, posinf=np.inf)
        peaks = np.maximum(peaks, peak)
        errors = np.maximum(errors, np.divide(error, peak, out=error.copy(), where=peak > 0))
        for name in floats:
            loss = max(loss, compare({name: results[name]}, {name: results[emulated.half[name]]}).relative)
    return _Measured(
        dict(zip(emulated.watched, peaks, strict=True)), dict(zip(emulated.watched, errors, strict=True)), loss
    )


class _Emulated:
    """`model` twice in one graph: unchanged, and with rounded inputs and outputs of all layers but `kept`.

    The additional outputs `peaks` and `errors` hold, for every float value in `watched`, the largest magnitude and the
    largest difference between the two; `half` names the second copy's outputs.
    """

    def __init__(self, model: ir.Model, kept: Collection[str]) -> None:
        self.model = model.clone()
        self.graph = self.model.graph
        self.watched: list[str] = []
        self._serial = 0
        self._one = self._constant(np.array([1], np.int64))
        self._twins: dict[ir.Value, ir.Value] = {}
        self._rounded: dict[ir.Value, ir.Value] = {}
        peaks: list[ir.Value] = []
        errors: list[ir.Value] = []
        nodes, convertible = list(self.graph), {node.name for node in _convertible(self.model)}
        for value in list(self.graph.inputs):
            if value.dtype == FLOAT:
                self._watch(value, value, peaks, errors)
        for node in nodes:
            self._twin(node, rounding=node.name in convertible and node.name not in kept)
            for output in node.outputs:
                if output.dtype == FLOAT and output in self._twins and 0 not in (output.shape or (0,)):
                    self._watch(output, self._twins[output], peaks, errors)
        self.half = {
            value.name or "": self._output(self._twins.get(value, value)) for value in list(self.graph.outputs)
        }
        self.peaks = self._output(self._op("Concat", *peaks, axis=0))
        self.errors = self._output(self._op("Concat", *errors, axis=0))

    def halves(self) -> ir.Model:
        """Return the second copy alone, with the names of the first copy's outputs."""
        names = {name: place for place, name in enumerate(self.half)}
        values = {value.name: value for value in self.graph.outputs}
        halves = [values[twin] for twin in self.half.values()]
        for value in list(self.graph.outputs):
            if value.name in names:
                value.name = f"{value.name}_single"
        self.graph.outputs[:] = halves
        for name, place in names.items():
            self.graph.outputs[place].name = name
        RemoveUnusedNodesPass()(self.model)
        return self.model

    def _op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        self._serial += 1
        node = ir.node(op_type, inputs, attributes, name=f"edgec_half_{self._serial}")
        node.outputs[0].name = f"edgec_half_{self._serial}_out"
        node.outputs[0].dtype = FLOAT
        self.graph.append(node)
        return node.outputs[0]

    def _constant(self, array: Array) -> ir.Value:
        self._serial += 1
        name = f"edgec_half_{self._serial}_constant"  # searching for a free name would walk the graph
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self.graph.register_initializer(value)
        return value

    def _output(self, value: ir.Value) -> str:
        carried = self._op("Identity", value)
        carried.type = value.type
        self.graph.outputs.append(carried)
        return carried.name or ""

    def _watch(self, value: ir.Value, twin: ir.Value, peaks: list[ir.Value], errors: list[ir.Value]) -> None:
        self.watched.append(value.name or "")
        for store, watched in ((peaks, value), (errors, self._op("Sub", value, twin))):
            largest = self._op("ReduceMax", self._op("Abs", watched), keepdims=1)
            store.append(self._op("Reshape", largest, self._one))

    def _round(self, value: ir.Value) -> ir.Value:
        if value.dtype != FLOAT:
            return value
        if value not in self._rounded:
            held = constant(value)
            if held is None:
                down = self._op("Cast", value, to=int(ir.DataType.FLOAT16))
                down.dtype = ir.DataType.FLOAT16
                self._rounded[value] = self._op("Cast", down, to=int(FLOAT))
            else:
                with np.errstate(over="ignore"):
                    rounded = held.astype(np.float16).astype(np.float32)
                self._rounded[value] = self._constant(rounded)
        return self._rounded[value]

    def _twin(self, node: ir.Node, *, rounding: bool) -> None:
        """Append the copy of `node` in the second network; nodes with unchanged inputs are shared."""
        inputs = [None if value is None else self._twins.get(value, value) for value in node.inputs]
        if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values()):
            return
        if rounding:
            inputs = [None if value is None else self._round(value) for value in inputs]
        if not rounding and inputs == list(node.inputs):
            return
        self._serial += 1
        copy = ir.Node(
            node.domain, node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs),
            name=f"edgec_half_{self._serial}",
        )  # fmt: skip
        self.graph.append(copy)
        for index, (old, new) in enumerate(zip(node.outputs, copy.outputs, strict=True)):
            new.name, new.type, new.shape = (
                f"edgec_half_{self._serial}_out_{index}" if old.name else "",
                old.type,
                old.shape,
            )
            if old.name:
                self._twins[old] = self._round(new) if rounding else new
