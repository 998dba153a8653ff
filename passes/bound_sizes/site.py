"""`Site`: the node that is being given static shapes; what its rule can ask, and the nodes it can insert."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, opset, replace_uses
from edgec.passes.bound_sizes.arithmetic import Arithmetic
from edgec.passes.bound_sizes.builder import Builder
from edgec.passes.bound_sizes.facts import Elements, Fact, Facts, Interval, bounds_of
from edgec.passes.bound_sizes.size import Size, known

ANY = Interval()
BOOL, INT64 = ir.DataType.BOOL, ir.DataType.INT64
LARGEST_SHAPE = 8
"""Elements of a tensor that may be a shape."""
CHOSEN = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.UINT8, INT64})
"""Types that ONNX Runtime's Where knows."""


class Unbounded(Exception):
    """The node cannot be given static shapes; the text goes on after its name: "reverses an axis of ..."."""


class Bounding:
    """The model on its way: what is known of its values, and what inserts nodes."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.facts = Facts()
        self.builder = Builder(model)
        self.arithmetic = Arithmetic(self.builder)
        self.opset = opset(model)
        self._valid: dict[tuple[Size, int], ir.Value] = {}

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Forget, at the end of the block, what was computed in it: it was in a body, where others cannot read it."""
        valid = dict(self._valid)
        with self.arithmetic.scope():
            yield
        self._valid = valid

    def valid(self, size: Size, bound: int) -> ir.Value:
        """Return a value (bool [bound]) that tells of each place whether it lies below `size`."""
        if (size, bound) not in self._valid:
            count = self.arithmetic.value(size)
            (mask,) = self.builder.function("Valid", [count], [([bound], BOOL)], {"bound": bound})
            self._valid[size, bound] = mask
        return self._valid[size, bound]


class Site:
    """One node; a rule reads its inputs here and ends by telling what its outputs are: `keep` or `replace`."""

    def __init__(self, node: ir.Node, bounding: Bounding) -> None:
        self.node, self.bounding = node, bounding
        self.sizes_math = bounding.arithmetic
        self.facts = bounding.facts
        self._results: list[ir.Value] = list(node.outputs)

    # What the inputs are.

    def has(self, index: int) -> bool:
        """Return whether input `index` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def value(self, index: int) -> ir.Value:
        """Return input `index`, which must be there."""
        value = self.node.inputs[index]
        assert value is not None
        return value

    def fact(self, index: int) -> Fact:
        """Return what is known of input `index`."""
        return self.facts[self.value(index)]

    def sizes(self, index: int) -> tuple[Size, ...]:
        """Return the true sizes of input `index`."""
        return self.fact(index).sizes

    def bounds(self, index: int) -> tuple[int, ...]:
        """Return the shape of input `index`, padding included."""
        return bounds_of(self.value(index))

    def is_padded(self, index: int) -> bool:
        """Return whether input `index` is there and has an axis whose size depends on the data."""
        return self.has(index) and self.facts.is_padded(self.value(index))

    def padded_axes(self, index: int) -> list[int]:
        """Return the axes of input `index` whose size depends on the data."""
        return [axis for axis, size in enumerate(self.sizes(index)) if size.terms]

    def dtype(self, index: int) -> ir.DataType:
        """Return the element type of input `index`."""
        return dtype_of(self.value(index))

    def rank(self, index: int) -> int:
        """Return the number of axes of input `index`."""
        return len(self.bounds(index))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute as a Python value, or `default`."""
        return attribute(self.node, name, default)

    def axis(self, default: int, rank: int | None = None) -> int:
        """Return the attribute `axis` counted from 0, of `rank` axes (those of the first input by default)."""
        return int(self.attribute("axis", default)) % max(self.rank(0) if rank is None else rank, 1)

    def axes(self, index: int) -> list[int] | None:
        """Return the axes that input `index` lists, counted from 0 of the first input's; None where it is left out.

        Raises:
            Unbounded: They are computed.
        """
        if not self.has(index):
            return None
        return [number % self.rank(0) for number in self.numbers(index, "axes")]

    def numbers(self, index: int, what: str) -> list[int]:
        """Return the known whole numbers that input `index` holds.

        Raises:
            Unbounded: They depend on the data; `what` names them.
        """
        elements = self.fact(index).elements
        found = [] if elements is None else [size.known for size in elements.flat]
        if elements is None or None in found:
            raise Unbounded(f"has {what} that depend on the data")
        return [number for number in found if number is not None]

    def numbers_or_sizes(self, index: int, within: Interval = ANY) -> list[Size]:
        """Return the whole numbers that input `index` holds, as sizes: read from it at run time where need be.

        Args:
            index: Of the input.
            within: Where the operator itself confines what is read.

        Raises:
            Unbounded: Nothing is known of how large they can become.
        """
        fact, value = self.fact(index), self.value(index)
        if fact.elements is not None:
            return list(fact.elements.flat)
        least, most = max(fact.interval.least, within.least), min(fact.interval.most, within.most)
        return [self._read(value, at, Interval(least, most)) for at in range(math.prod(bounds_of(value)))]

    def read_elements(self, index: int) -> Elements | None:
        """Return the numbers of input `index` as sizes that are read at run time; None if it is no part of a shape."""
        value, interval = self.value(index), self.fact(index).interval
        bounds = bounds_of(value)
        finite = np.isfinite([interval.least, interval.most]).all()
        if self.is_padded(index) or dtype_of(value) != INT64 or math.prod(bounds) > LARGEST_SHAPE or not finite:
            return None
        made = np.empty(math.prod(bounds), object)
        made[:] = [self._read(value, at, interval) for at in range(math.prod(bounds))]
        return made.reshape(bounds)

    def _read(self, value: ir.Value, at: int, interval: Interval) -> Size:
        if not (np.isfinite(interval.least) and np.isfinite(interval.most)):
            raise Unbounded(f"takes a size from {value.name!r}, of which nothing says how large it can become")
        least, most = int(np.floor(interval.least)), int(np.ceil(interval.most))
        flat = self.insert("Reshape", [value, self.constant([-1])], [math.prod(bounds_of(value))], dtype_of(value))
        element = self.take(flat, self.constant([at]), 0)
        whole = self.cast(element, INT64)
        # Whatever comes out, NaN included, stays where the bound was promised.
        limited = self.insert("Max", [whole, self.constant([least])], [1], INT64)
        limited = self.insert("Min", [limited, self.constant([most])], [1], INT64)
        return self.sizes_math.count(limited, least, most)

    # What a rule inserts.

    def insert(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Sequence[int],
        dtype: ir.DataType,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Insert a node of one output before this one; return the output."""
        return self.bounding.builder.node(op_type, inputs, shape, dtype, attributes)

    def constant(self, array: Any, dtype: ir.DataType = INT64) -> ir.Value:
        """Return a constant."""
        return self.bounding.builder.constant(array, dtype)

    def places(self, bound: int) -> ir.Value:
        """Return the numbers from 0 up to `bound`, left out itself: int64 [bound]."""
        return self.constant(np.arange(bound))

    def places_of(self, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return the places (int64 [n]) at which `mask` (bool [n]) holds, in order, and their number (int64 [1])."""
        (bound,) = bounds_of(mask)
        found = self.bounding.builder.function("NonZero", [mask], [([1, bound], INT64), ([1], INT64)])
        return self.insert("Squeeze", [found[0], self.constant([0])], [bound], INT64), found[1]

    def first_or_only(self, size: Size, bound: int) -> ir.Value:
        """Return the places 0, 1, 2 ... (int64 [bound]) of an axis of true size `size`; where that is 1, only 0."""
        last = self.sizes_math.maximum([size - known(1), known(0)])
        return self.insert("Min", [self.places(bound), self.size_value(last)], [bound], INT64)

    def clamped(self, begin: Size, bound: int, limit: int, step: int = 1) -> ir.Value:
        """Return the places begin, begin + step ... (int64 [bound]), those outside of 0 to `limit` moved there."""
        places = self.constant(np.arange(bound) * step)
        moved = self.insert("Add", [places, self.size_value(begin)], [bound], INT64)
        least, most = self.constant(0), self.constant(max(limit - 1, 0))
        return self.insert("Clip", [moved, least, most], [bound], INT64)

    def window(self, value: ir.Value, axis: int, begin: Size, length: Size, step: int = 1) -> ir.Value:
        """Return `length` places of `value` along `axis`, from `begin` on; they lie within its true size there."""
        bound, most = bounds_of(value)[axis], max(length.most, 0)
        if begin.known is not None and step == 1:
            return self.slice(value, axis, min(begin.known, bound), min(begin.known + most, bound))
        return self.take(value, self.clamped(begin, most, bound, step), axis)

    def scalar(self, size: Size) -> ir.Value:
        """Return a value (int64, of no axes) that holds `size`."""
        return self.insert("Reshape", [self.size_value(size), self.constant(np.zeros(0, np.int64))], [], INT64)

    def size_value(self, size: Size) -> ir.Value:
        """Return a value (int64 [1]) that holds `size`."""
        return self.sizes_math.value(size)

    def slice(self, value: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        """Return the places `start` to `end` of `value` along `axis`."""
        shape = list(bounds_of(value))
        if (start, end) == (0, shape[axis]):
            return value
        shape[axis] = end - start
        numbers = [self.constant([number]) for number in (start, end, axis)]
        return self.insert("Slice", [value, *numbers], shape, dtype_of(value))

    def cut(self, value: ir.Value, axis: int, bound: int) -> ir.Value:
        """Return `value` with `bound` places along `axis`, which is no less than its true size there."""
        axis %= len(bounds_of(value))
        shorter = self.slice(value, axis, 0, bound)
        if shorter is not value:
            self.facts[shorter] = self.facts[value]
        return shorter

    def take(self, value: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
        """Return the places `indices` (int64 [n], each within the bound) of `value` along `axis`."""
        shape = list(bounds_of(value))
        shape[axis] = bounds_of(indices)[0]
        return self.insert("Gather", [value, indices], shape, dtype_of(value), {"axis": axis})

    def along(self, value: ir.Value, axis: int, rank: int) -> ir.Value:
        """Return `value` ([n]) reshaped so that it lies along `axis` of `rank` axes."""
        if rank == axis + 1:
            return value
        shape = [bounds_of(value)[0], *[1] * (rank - axis - 1)]
        return self.insert("Reshape", [value, self.constant(shape)], shape, dtype_of(value))

    def filled(self, value: ir.Value, sizes: Sequence[Size], axes: Sequence[int], fill: Any) -> ir.Value:
        """Return `value`, of the true `sizes`, with `fill` in the padding of `axes`."""
        bounds = bounds_of(value)
        for axis in axes:
            if sizes[axis].known is None:
                mask = self.along(self.bounding.valid(sizes[axis], bounds[axis]), axis, len(bounds))
                value = self.where(mask, value, self.constant(fill, dtype_of(value)))
                self.facts[value] = Fact(tuple(sizes))
        return value

    def where(self, mask: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """Return `a` where `mask` holds, else `b`; mask and `b` broadcast to the shape of `a`."""
        bounds, dtype = bounds_of(a), dtype_of(a)
        if dtype == BOOL:
            chosen = self.insert("And", [mask, a], bounds, BOOL)
            other = self.insert("And", [self.insert("Not", [mask], bounds_of(mask), BOOL), b], bounds, BOOL)
            return self.insert("Or", [chosen, other], bounds, BOOL)
        # ONNX Runtime has no Where for the other types.
        wide = dtype if dtype in CHOSEN else ir.DataType.FLOAT if dtype.is_floating_point() else INT64
        made = self.insert("Where", [mask, self.cast(a, wide), self.cast(b, wide)], bounds, wide)
        return self.cast(made, dtype)

    def safe_indices(self, index: int) -> ir.Value:
        """Return input `index` with zeros in its padding: as indices these are within any axis."""
        value, fact = self.value(index), self.fact(index)
        if fact.clean or not self.is_padded(index):
            return value
        return self.filled(value, fact.sizes, self.padded_axes(index), 0)

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Return `value` in the element type `dtype`."""
        if dtype_of(value) == dtype:
            return value
        return self.insert("Cast", [value], bounds_of(value), dtype, {"to": dtype})

    # What the outputs are.

    def set_input(self, index: int, value: ir.Value | None) -> None:
        """Make the node read `value` as input `index`."""
        self.node.replace_input_with(index, value)

    def keep(self, *outputs: tuple[Sequence[int], Fact]) -> None:
        """Leave the node in place: each of its outputs has the shape and is what the fact tells."""
        for value, (shape, fact) in zip(self.node.outputs, outputs, strict=True):
            value.shape = ir.Shape(shape)
            self.facts[value] = fact
            needed = _needed(fact, shape)
            if needed != tuple(shape):
                self._cut_behind(value, needed, fact)

    def replace(self, index: int, value: ir.Value, fact: Fact) -> None:
        """Put `value` in the place of output `index`."""
        for axis, bound in enumerate(_needed(fact, bounds_of(value))):
            value = self.slice(value, axis, 0, bound)
        value = self.own(value)
        replace_uses(self.node.outputs[index], value)
        self.facts[value] = fact
        self._results[index] = value

    def own(self, value: ir.Value) -> ir.Value:
        """Return `value`, behind an Identity where it is a constant, or an input or output of the graph."""
        if value.is_initializer() or value.is_graph_input() or value.is_graph_output():
            return self.insert("Identity", [value], bounds_of(value), dtype_of(value))
        return value

    def complete(self, elements: Sequence[Elements] | None, intervals: Sequence[Interval]) -> None:
        """Add to the facts of the outputs what is known of the numbers they hold, unless the rule did."""
        for index, value in enumerate(self._results):
            if not value.name:
                continue
            fact = self.facts[value]
            if fact.elements is None and elements is not None and not self.facts.is_padded(value):
                fact = dataclasses.replace(fact, elements=elements[index])
            if fact.interval == ANY:
                interval = intervals[index] if fact.elements is None else _interval_of(fact.elements)
                fact = dataclasses.replace(fact, interval=interval)
            self.facts[value] = fact
            self._write_down(value, fact)

    def _write_down(self, value: ir.Value, fact: Fact) -> None:
        """Let the readers of `value` read a constant where the numbers it holds do not depend on the data."""
        numbers = None if fact.elements is None else [size.known for size in fact.elements.flat]
        if numbers is None or None in numbers or value.is_graph_output():
            return
        constant = self.constant(np.reshape(numbers, bounds_of(value)), dtype_of(value))
        replace_uses(value, constant)

    def _cut_behind(self, value: ir.Value, shape: Sequence[int], fact: Fact) -> None:
        """Let all readers of the output `value` read it cut to `shape`."""
        graph, name = self.bounding.builder.graph, self.bounding.builder.name
        axes = [axis for axis, bound in enumerate(bounds_of(value)) if bound != shape[axis]]
        numbers = [self.constant(each) for each in ([0] * len(axes), [shape[axis] for axis in axes], axes)]
        cut = ir.node("Slice", [None, *numbers], name=name("bound_Slice"))
        shorter = cut.outputs[0]
        shorter.name, shorter.shape, shorter.type = name("bound_Slice_output"), ir.Shape(shape), value.type
        graph.insert_after(self.node, cut)
        replace_uses(value, shorter)
        cut.replace_input_with(0, value)
        self.facts[shorter] = fact
        self._results[self._results.index(value)] = shorter


def _interval_of(elements: Elements) -> Interval:
    if not elements.size:
        return ANY
    return Interval(min(size.least for size in elements.flat), max(size.most for size in elements.flat))


def dtype_of(value: ir.Value) -> ir.DataType:
    """Return the element type of `value`."""
    assert value.dtype is not None, value
    return value.dtype


def _needed(fact: Fact, shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape`, its axes no longer than their sizes can become."""
    return tuple(min(max(size.most, 0), bound) for size, bound in zip(fact.sizes, shape, strict=True))
