"""The steps of a recurrent layer as one TIR function: loops over directions, steps and tiles of units.

A step multiplies the state by the weights, tile after tile, the sums in registers; then gates and states are computed,
vector by vector. TE has no loops over time, so the function is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product as every
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 (as everywhere)

from edgec.targets.tvm.intrinsics import with_functions
from edgec.targets.tvm.recurrence import Activation, Recurrence
from edgec.targets.tvm.regions.elementwise import clip
from edgec.targets.tvm.schedules.common.kernel import F32, OPAQUE, f32
from edgec.targets.tvm.schedules.plain.recurrent_activations import ACTIVATIONS
from edgec.targets.tvm.schedules.plain.recurrent_plan import Product


@dataclass(frozen=True)
class Parameter:
    """A parameter of the function: a tensor that it reads."""

    name: str
    shape: tuple[int, ...]
    dtype: str = F32


@dataclass(frozen=True)
class Result:
    """A tensor the function writes: `sequence` (Y), `state` (Y_h) or `cell` (Y_c), its axes permuted by `axes`."""

    what: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def recurrence_function(
    what: Recurrence,
    products: Sequence[Product],
    parameters: Sequence[Parameter],
    results: Sequence[Result],
    cores: int,
) -> tirx.PrimFunc:
    """Return the scheduled function of `parameters` and then `results`.

    Args:
        what: The layer.
        products: Tiles of its products, see `recurrent_plan.products`.
        parameters: Some of `sums`, `weights0`, `weights1`, `scales`, `bias`, `peepholes`, `lengths`, `state`, `cell`;
            the layer has no others.
        results: The results to write.
        cores: Number of threads among which tasks are divided.
    """
    with IRBuilder() as builder, T.prim_func(private=True, s_tir=True):
        T.func_name("main")
        buffers = {each.name: T.arg(each.name, T.buffer(each.shape, each.dtype)) for each in parameters}
        written = [(each, T.arg(f"out_{each.what}", T.buffer(each.shape, F32))) for each in results]
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True, "op_pattern": OPAQUE})
        with T.sblock("root"):
            _tasks(what, products, buffers, written, cores)
    return with_functions(builder.get())


def _tasks(
    what: Recurrence, products: Sequence[Product], buffers: Mapping[str, Any], results: Sequence[tuple[Result, Any]],
    cores: int,
) -> None:  # fmt: skip
    """Write the task, which computes all steps in one direction for some rows of the batch."""
    tiles = -(-what.batch // products[0].rows)
    alike = len(set(what.activations)) == 1
    loop = T.parallel if cores > 1 and what.directions * tiles > 1 else T.serial
    with loop(what.directions * tiles) as task:
        direction, tile = tirx.floordiv(task, tiles), tirx.floormod(task, tiles)

        def steps(functions: Sequence[Activation]) -> None:
            with T.sblock("task"):
                _Task(what, products, buffers, direction, tile, functions).run(results)

        if alike:
            steps(what.activations[0])
        else:
            with T.If(direction == 0):
                with T.Then():
                    steps(what.activations[0])
                with T.Else():
                    steps(what.activations[1])


class _Task:
    """Writes the loops of one task; `direction` and `tile` (of rows) are expressions."""

    def __init__(
        self, what: Recurrence, products: Sequence[Product], buffers: Mapping[str, Any], direction: Any, tile: Any,
        functions: Sequence[Activation],
    ) -> None:  # fmt: skip
        self.what, self.products, self.buffers, self.direction = what, products, buffers, direction
        self.rows, self.lanes = products[0].rows, products[0].lanes
        self.first, self.functions = tile * self.rows, functions
        # There are two states, used alternately: each unit of the next one needs all units of the last.
        self.states = T.sblock_alloc_buffer((2, self.rows, what.columns), F32)
        self.cells = T.sblock_alloc_buffer((self.rows, what.columns), F32)
        self.gates = T.sblock_alloc_buffer((self.rows, what.gates, what.columns), F32)
        self.scaled = T.sblock_alloc_buffer((self.rows, what.columns), F32)
        """The state times the reset gate, if weights are multiplied with that."""

    def run(self, results: Sequence[tuple[Result, Any]]) -> None:
        """Write all loops."""
        self._begin()
        with T.serial(self.what.steps) as t:
            self._multiply(0, t, lambda r, k: self.states[tirx.floormod(t, 2), r, k])
            if len(self.products) > 1:
                self._by_vectors(lambda r, j: self._scale_state(t, r, j))
                self._multiply(1, t, lambda r, k: self.scaled[r, k])
            self._by_vectors(lambda r, j: self._update(t, r, j))
            for result, buffer in results:
                if result.what == "sequence":
                    shown = lambda r, j: self._if_active(t, r, self.states[tirx.floormod(t + 1, 2), r, j], f32(0.0))  # noqa: E731
                    self._copy(buffer, result, shown, lambda r: (self._position(t, r), self.direction, self._row(r)))
        for result, buffer in results:
            if result.what != "sequence":
                last = {
                    "state": lambda r, j: self.states[self.what.steps % 2, r, j],
                    "cell": lambda r, j: self.cells[r, j],
                }
                self._copy(buffer, result, last[result.what], lambda r: (self.direction, self._row(r)))

    def _row(self, r: Any) -> Any:
        """The row of the batch; the last tile computes the last row repeatedly if it has too many rows."""
        return tirx.min(self.first + r, self.what.batch - 1) if self.what.batch % self.rows else self.first + r

    def _length(self, r: Any) -> Any:
        return tirx.min(self.buffers["lengths"][self._row(r)], self.what.steps)

    def _if_active(self, t: Any, r: Any, value: Any, otherwise: Any) -> Any:
        """Return `value` for steps within the row's sequence, `otherwise` after it."""
        return tirx.Select(t < self._length(r), value, otherwise) if "lengths" in self.buffers else value

    def _position(self, t: Any, r: Any) -> Any:
        """Return the step of the sequence that is number `t` in this direction."""
        if not any(self.what.backward):
            return t
        turned = self.what.steps - 1 - t
        if "lengths" in self.buffers:
            turned = tirx.Select(t < self._length(r), self._length(r) - 1 - t, t)
        return turned if all(self.what.backward) else tirx.Select(self.direction == 1, turned, t)

    def _input(self, t: Any, r: Any, gate: int, j: Any) -> Any:
        column = (self.direction * self.what.gates + gate) * self.what.columns + j
        return self.buffers["sums"][self._position(t, r), self._row(r), column]

    def _begin(self) -> None:
        """Write the initial states, by default 0; padding units begin with 0."""

        def clear(r: Any, j: Any) -> None:
            T.buffer_store(self.states, f32(0.0), [0, r, j])
            T.buffer_store(self.cells, f32(0.0), [r, j])

        self._by_vectors(clear)
        for given, buffer, first in (("state", self.states, [0]), ("cell", self.cells, [])):
            if given in self.buffers:
                with T.grid(self.rows, self.what.hidden) as (r, j):
                    T.buffer_store(buffer, self.buffers[given][self.direction, self._row(r), j], [*first, r, j])

    def _by_vectors(self, write: Callable[[Any, Any], None]) -> None:
        with T.grid(self.rows, self.what.columns // self.lanes) as (r, vector), T.vectorized(self.lanes) as lane:
            write(r, vector * self.lanes + lane)

    def _multiply(self, at: int, t: Any, state: Callable[[Any, Any], Any]) -> None:
        """Write product number `at` of `state` and weights, plus its addend, into `gates`."""
        each, weights = self.products[at], self.buffers[f"weights{at}"]
        tile_of = list(every(range(each.rows), range(len(each.gates)), range(each.vectors)))
        with T.serial(self.what.columns // each.units) as tile, T.sblock("product"):
            sums = T.sblock_alloc_buffer((each.sums, each.rows, len(each.gates), each.vectors, each.lanes), F32)
            for part, (r, g, v) in every(range(each.sums), tile_of):
                with T.vectorized(each.lanes) as lane:
                    T.buffer_store(sums, f32(0.0), [part, r, g, v, lane])
            with T.serial(self.what.hidden // each.sums) as k:
                for part, (r, g, v) in every(range(each.sums), tile_of):
                    with T.vectorized(each.lanes) as lane:
                        weight = weights[self.direction, tile, k, part, g, v * each.lanes + lane].astype(F32)
                        total = sums[part, r, g, v, lane] + state(r, k * each.sums + part) * weight
                        T.buffer_store(sums, total, [part, r, g, v, lane])
            for r, g, v in tile_of:
                with T.vectorized(each.lanes) as lane:
                    unit = tile * each.units + v * each.lanes + lane
                    total = sums[0, r, g, v, lane]
                    for part in range(1, each.sums):
                        total = total + sums[part, r, g, v, lane]
                    T.buffer_store(
                        self.gates, self._complete(t, r, each.gates[g], unit, total), [r, each.gates[g], unit]
                    )

    def _complete(self, t: Any, r: Any, gate: int, unit: Any, total: Any) -> Any:
        """Scale the product `total` of integer weights, and add the sum over the input, or a bias."""
        if "scales" in self.buffers:
            total = total * self.buffers["scales"][self.direction, gate, unit]
        if not self._own_bias(gate):
            return total + self._input(t, r, gate, unit)
        return total + self.buffers["bias"][self.direction, 0, unit] if "bias" in self.buffers else total

    def _own_bias(self, gate: int) -> bool:
        """Return whether the product is the candidate's, which a reset gate scales before the input is added."""
        return self.what.kind == "GRU" and self.what.reset_after and gate == self.what.gates - 1

    def _gate(self, r: Any, gate: int, j: Any, function: int = 0) -> Any:
        return self._activate(self.gates[r, gate, j], function)

    def _activate(self, value: Any, function: int) -> Any:
        bound, activation = self.what.clip, self.functions[function]
        value = value if bound is None else clip(value, -bound, bound)
        return ACTIVATIONS[activation.name](value, activation)

    def _scale_state(self, t: Any, r: Any, j: Any) -> None:
        T.buffer_store(self.scaled, self._gate(r, 1, j) * self.states[tirx.floormod(t, 2), r, j], [r, j])

    def _update(self, t: Any, r: Any, j: Any) -> None:
        """Write the next state and cell of units `j`."""
        old, following = self.states[tirx.floormod(t, 2), r, j], tirx.floormod(t + 1, 2)
        state = {"LSTM": self._lstm, "GRU": self._gru, "RNN": lambda *_: self._gate(r, 0, j)}[self.what.kind](t, r, j)
        T.buffer_store(self.states, self._if_active(t, r, state, old), [following, r, j])

    def _lstm(self, t: Any, r: Any, j: Any) -> Any:
        entering = self._peeping(r, 0, j, 0)
        kept = f32(1.0) - entering if self.what.coupled else self._peeping(r, 2, j, 2)
        cell = kept * self.cells[r, j] + entering * self._gate(r, 3, j, 1)
        T.buffer_store(self.cells, self._if_active(t, r, cell, self.cells[r, j]), [r, j])
        # As in ONNX Runtime, the cell is not clipped.
        activation = self.functions[2]
        return self._peeping(r, 1, j, 1) * ACTIVATIONS[activation.name](self.cells[r, j], activation)

    def _peeping(self, r: Any, gate: int, j: Any, weights: int) -> Any:
        """Return the gate, to which the current cell contributes by the peephole `weights`, if there are some."""
        value = self.gates[r, gate, j]
        if "peepholes" in self.buffers:
            value = value + self.buffers["peepholes"][self.direction, weights, j] * self.cells[r, j]
        return self._activate(value, 0)

    def _gru(self, t: Any, r: Any, j: Any) -> Any:
        update, candidate = self._gate(r, 0, j), self.gates[r, 2, j]
        if self.what.reset_after:
            candidate = self._input(t, r, 2, j) + self._gate(r, 1, j) * candidate
        old = self.states[tirx.floormod(t, 2), r, j]
        return (f32(1.0) - update) * self._activate(candidate, 1) + update * old

    def _copy(
        self, buffer: Any, result: Result, value: Callable[[Any, Any], Any], lead: Callable[[Any], tuple[Any, ...]]
    ) -> None:
        with T.grid(self.rows, self.what.hidden) as (r, j):
            index = (*lead(r), j)
            T.buffer_store(buffer, value(r, j), [index[axis] for axis in result.axes])
