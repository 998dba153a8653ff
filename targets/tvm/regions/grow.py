"""Region growth: every anchor takes in the elementwise work that follows, as long as one value leaves the region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.quantized import DEQUANTIZE, QUANTIZE

LARGEST_REGION = 24
"""Members of a region; a longer expression gains nothing and spills."""
PLAIN_RULES = frozenset({"bytes", "columns", "dense_int8", "matmul", "plain", "recurrent", "rows"})
"""Workloads that read and write plain tensors."""
ELEMENTWISE = frozenset({"elementwise", "plain"})
"""Workloads of elementwise operators, which any other takes in where it can."""
LARGEST_EXPRESSION = 2000
"""Terms of a region's expression: TVM's passes expand shared parts into copies, so x + relu(x), repeated, doubles."""
REPEATS = dict.fromkeys(("relax.abs", "relax.square", "relax.nn.leakyrelu"), 2)
"""How often the expression of an operator holds its operand, where more than once."""


@dataclass(eq=False)
class Region:
    """One kernel: `members` in topological order, the first is the anchor where `rule` is not `elementwise`."""

    rule: str
    members: list[Node]

    @property
    def anchor(self) -> Node:
        """First member."""
        return self.members[0]

    @property
    def tail(self) -> Node:
        """The member whose value leaves the region."""
        return self.members[-1]


Fits = Callable[[str, Node, Node], bool]


def grow_regions(graph: Graph, rule_of: Callable[[Node], str | None], fits: Fits) -> list[Region]:
    """Return the regions of `graph` in an order that can be executed; nodes without a rule get an empty one.

    Args:
        graph: Normalized graph; `packed` of its nodes is set.
        rule_of: Name of the workload that takes a node as anchor, None if none does; asked in topological order.
        fits: Whether a node may join the region of a rule and an anchor in plain layout.
    """
    rules: dict[int, str] = {}
    taken: set[int] = set()
    for node in graph.nodes:
        if node.op == DEQUANTIZE:
            # No region of its own: those that read it convert what they load.
            node.packed = node.args[0].packed
            taken.add(id(node))
            continue
        rule = rule_of(node)
        if rule is None and is_packed_elementwise(node):
            rule = "elementwise"
        if rule is not None:
            node.packed = rule not in PLAIN_RULES
            rules[id(node)] = rule
    regions = []

    def take(node: Node) -> None:
        members = _grow(node, graph, rules, taken, fits)
        taken.update(id(member) for member in members)
        regions.append(Region(rules.get(id(node), ""), members))

    # Rows first to last: the first reduction of a spelled-out layer norm takes in the second.
    for node in graph.nodes:
        if rules.get(id(node)) in ("rows", "columns") and id(node) not in taken:
            take(node)
    # Later anchors first: a residual add goes to the later of its producers, whose other operand is then ready.
    for node in reversed(graph.nodes):
        if rules.get(id(node), "elementwise") not in ELEMENTWISE and id(node) not in taken:
            take(node)
    for node in graph.nodes:
        if id(node) not in taken:
            take(node)
    return sorted(regions, key=lambda region: region.tail.order)


def is_packed_elementwise(node: Node) -> bool:
    """Whether `node` is an elementwise operator that can read packed operands, at least one of which is packed."""
    if node.shape is None or len(node.shape) != 4 or (node.dtype != "float32" and node.op != QUANTIZE):
        return False
    if node.op in UNARY or node.op in PARAMETRIC or node.op == QUANTIZE:
        return isinstance(node.args[0], Node) and node.args[0].packed
    if node.op not in BINARY:
        return False
    return all(_readable(arg, node.shape) for arg in node.args) and any(
        isinstance(arg, Node) and arg.packed for arg in node.args
    )


def _readable(arg: object, shape: tuple[int, ...]) -> bool:
    if isinstance(arg, np.ndarray):
        return arg.dtype == np.float32 and arg.ndim <= 4
    if not isinstance(arg, Node) or arg.shape is None or len(arg.shape) != 4 or arg.dtype != "float32":
        return False
    return all(mine in (1, whole) for mine, whole in zip(arg.shape, shape, strict=True))


def _terms(members: list[Node]) -> int:
    """Return how many terms the expression of the last of `members` has, written out."""
    sizes: dict[int, int] = {}
    for member in members:
        operands = sum(sizes.get(id(arg), 1) for arg in member.args)
        sizes[id(member)] = 1 + REPEATS.get(member.op, 1) * operands
    return sizes[id(members[-1])]


def _grow(anchor: Node, graph: Graph, rules: dict[int, str], taken: set[int], fits: Fits) -> list[Node]:
    """Return the largest closed region from `anchor`: closed means that only its last member is read outside."""
    if id(anchor) not in rules:
        return [anchor]
    members, best = [anchor], [anchor]
    while len(members) < LARGEST_REGION and not any(graph.is_output(member) for member in members):
        inside = {id(member) for member in members}
        outside = [user for member in members for user in member.users if id(user) not in inside]
        if not outside:
            break
        nearest = min(outside, key=lambda user: user.order)
        if id(nearest) in taken:
            break
        if anchor.packed:
            joins = rules.get(id(nearest)) == "elementwise" and nearest.shape == anchor.shape
        else:
            joins = fits(rules[id(anchor)], anchor, nearest)
        if not joins or _terms([*members, nearest]) > LARGEST_EXPRESSION:
            break
        members = [*members, nearest]
        inside.add(id(nearest))
        leaving = [m for m in members if graph.is_output(m) or any(id(user) not in inside for user in m.users)]
        if leaving == [nearest]:
            best = members
    return best
