"""The graph of the region passes: one node per Relax binding, constants as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import tvm
from tvm import relax

from edgec.targets.tvm.regions.facts import Array, Facts

Known = TypeVar("Known")

VALUE_NAMES = "edgec.value_names"
"""Attribute of a function: name of a variable -> name of its value in the network that was imported."""
TIR_NAMES = {"maximum": "relax.maximum", "minimum": "relax.minimum"}
"""Operators that `from_onnx` imports as calls of TIR functions with these names."""

CALL = "edgec.call"
"""Name for calls of other functions of the module."""


@dataclass(eq=False)
class Node:
    """One value. `args` holds nodes, arrays, lists of these, and Relax expressions that are neither (shapes, scalars).

    `op` is Relax's operator name, `input`, `tuple_get`, or a name the region pass invents (`edgec.global_pool`).
    `shape` is None unless every dimension is known; `dtype` is empty if the value is no tensor. `facts` contains what
    rewrites know beyond the call's attributes, `shift` the number that they added to integers. `name` is the name of
    the value in the imported network, empty if it has no such value. `packed` says that the value is in packed layout,
    see `packed_layout.block_of`.
    """

    op: str
    args: list[Any] = field(repr=False)
    shape: tuple[int, ...] | None
    dtype: str
    order: float
    call: Any = field(default=None, repr=False)
    packed: bool = False
    facts: Facts | None = field(default=None, repr=False)
    users: list[Node] = field(default_factory=list, repr=False)
    name: str = ""
    shift: int = 0
    original: tuple[int, ...] | None = None

    def known(self, kind: type[Known]) -> Known:
        """Return the facts, which must be of the type `kind`."""
        assert isinstance(self.facts, kind)
        return self.facts

    @property
    def attrs(self) -> Any:
        """Attributes of the Relax call."""
        return self.call.attrs

    def ints(self, name: str) -> list[int]:
        """Return the attribute `name`, a sequence of integers."""
        return [int(value) for value in getattr(self.attrs, name)]


@dataclass
class Graph:
    """A function's nodes in topological order, its parameters and its results."""

    params: list[Node]
    nodes: list[Node]
    outputs: list[Any]
    returns_tuple: bool

    @property
    def is_static(self) -> bool:
        """Whether the shape of every tensor is known."""
        return all(node.shape is not None or not node.dtype for node in self.params + self.nodes)

    def replace(self, old: Node, new: Node | Array) -> None:
        """Make every reader of `old`, including results, read the equal value `new`; call `relink` afterwards."""
        if isinstance(new, Node):
            new.name, new.original = old.name, old.original

        def swap(value: Any) -> Any:
            if isinstance(value, list):
                return [swap(item) for item in value]
            return new if value is old else value

        for node in self.nodes:
            if node is not new:
                node.args = swap(node.args)
        self.outputs = swap(self.outputs)

    def relink(self) -> None:
        """Drop dead nodes, sort the others by `order`, which is topological, and fill in `users`."""
        live: set[int] = set()
        stack = list(nodes_in(self.outputs))
        while stack:
            node = stack.pop()
            if id(node) not in live:
                live.add(id(node))
                stack += nodes_in(node.args)
        self.nodes = sorted((node for node in self.nodes if id(node) in live), key=lambda node: node.order)
        for node in self.params + self.nodes:
            node.users = []
        for node in self.nodes:
            for source in nodes_in(node.args):
                source.users.append(node)

    def is_output(self, node: Node) -> bool:
        """Whether `node` is a result of the function."""
        return any(node is output for output in nodes_in(self.outputs))


def nodes_in(values: Any) -> Iterator[Node]:
    """Yield the nodes in nested lists, in order."""
    for value in values:
        if isinstance(value, list):
            yield from nodes_in(value)
        elif isinstance(value, Node):
            yield value


def with_value_names(module: tvm.IRModule, names: Mapping[str, str]) -> tvm.IRModule:
    """Return `module` with the names that `read_graph` gives to the nodes of its function `main`, by variable."""
    named = tvm.IRModule(dict(module.functions_items()), attrs=module.attrs)
    named["main"] = module["main"].with_attr(VALUE_NAMES, dict(names))
    return named


def read_graph(function: relax.Function) -> Graph | None:
    """Return the graph of `function`, or None if its body is not one block of plain calls."""
    if not isinstance(function.body, relax.SeqExpr) or len(function.body.blocks) != 1:
        return None
    values: dict[Any, Any] = {}
    nodes: list[Node] = []
    names = dict((function.attrs or {}).get(VALUE_NAMES, {}))

    def value_of(expr: Any) -> Any:
        if isinstance(expr, relax.Var):
            return values[expr]
        if isinstance(expr, tvm.ir.GenericConst) and hasattr(expr.value, "numpy"):
            return expr.value.numpy()
        if isinstance(expr, relax.Tuple):
            fields = [value_of(item) for item in expr.fields]
            return fields if any(isinstance(item, (Node, np.ndarray, list)) for item in fields) else expr
        return expr

    for param in function.params:
        values[param] = Node("input", [], *_type(param), order=-1, call=param)
    for order, binding in enumerate(function.body.blocks[0].bindings):
        found = _read_binding(binding, order, value_of)
        if found is None:
            return None
        values[binding.var] = found[0]
        if found[1]:
            found[0].name = str(names.get(binding.var.name, ""))
            nodes.append(found[0])
    result = value_of(function.body.body)
    graph = Graph(
        params=[values[param] for param in function.params],
        nodes=nodes,
        outputs=result if isinstance(result, list) else [result],
        returns_tuple=isinstance(function.body.body.ty, relax.TupleType),
    )
    graph.relink()
    return graph


def _read_binding(binding: Any, order: int, value_of: Callable[[Any], Any]) -> tuple[Any, bool] | None:
    """Return the bound value and whether it is a new node; None for what a graph cannot express (branches)."""
    value = binding.value
    if isinstance(binding, relax.MatchCast):
        return None
    if isinstance(value, relax.TupleGetItem):
        source = value_of(value.tuple_value)
        if isinstance(source, list):
            return source[value.index], False
        return Node("tuple_get", [source], *_type(binding.var), order=order, call=value), True
    if not isinstance(value, relax.Call):
        known = isinstance(value, (relax.Var, relax.Tuple, tvm.ir.GenericConst, relax.ShapeExpr))
        return (value_of(value), False) if known else None
    if not isinstance(value.op, (tvm.ir.Op, tvm.ir.GlobalVar)):
        return None
    op, args = value.op.name if isinstance(value.op, tvm.ir.Op) else CALL, list(value.args)
    if op == "relax.call_tir":
        name = args[0].name_hint.rstrip("0123456789_")
        op, args = TIR_NAMES.get(name, op), list(args[1].fields)
    return Node(op, [value_of(arg) for arg in args], *_type(binding.var), order=order, call=value), True


def _type(var: Any) -> tuple[tuple[int, ...] | None, str]:
    """Return static shape (None if unknown) and dtype of a variable."""
    ty = var.ty
    if not isinstance(ty, relax.TensorType):
        return None, ""
    if ty.shape is None or not all(isinstance(extent, (int, tvm.tirx.IntImm)) for extent in ty.shape.values):
        return None, str(ty.dtype)
    return tuple(int(extent) for extent in ty.shape.values), str(ty.dtype)
