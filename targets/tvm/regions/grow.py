"""Region growth: every anchor takes in the elementwise work that follows, as long as one value leaves the region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.operators import DEQUANTIZE
from edgec.targets.tvm.regions.rule import Region, Rule

LARGEST_REGION = 24
"""Maximum number of members of a region; longer expressions gain nothing and spill registers."""
LARGEST_EXPRESSION = 2000
"""Maximum number of terms of a region: TVM's passes copy shared parts, so each x + relu(x) doubles the expression."""
REPEATS = dict.fromkeys(("relax.abs", "relax.square", "relax.nn.leakyrelu"), 2)
"""How often an operator's expression contains its operand, if more than once."""


def grow_regions(graph: Graph, rules: Sequence[Rule], cpu: CpuModel) -> list[Region]:
    """Return the regions of `graph` in an order that can be executed; nodes that no rule takes get one without.

    Sets `packed` of the nodes.

    Args:
        graph: A normalized graph.
        rules: In the order in which they are tried.
        cpu: The CPU.
    """
    taking: dict[int, Rule] = {}
    taken: set[int] = set()
    for node in graph.nodes:
        if node.op == DEQUANTIZE:
            # It has no region of its own: its readers convert the values that they load.
            node.packed = node.args[0].packed
            taken.add(id(node))
            continue
        rule = next((rule for rule in rules if rule.match(node, cpu)), None)
        if rule is not None:
            node.packed = rule.layout == "packed"
            taking[id(node)] = rule
    regions = []

    def take(node: Node) -> None:
        rule = taking.get(id(node))
        members = [node] if rule is None else _grow(node, graph, rule, taken)
        taken.update(id(member) for member in members)
        regions.append(Region(rule, members))

    def waiting(turn: str, nodes: Sequence[Node]) -> Iterator[Node]:
        for node in nodes:
            if id(node) in taking and taking[id(node)].grows == turn and id(node) not in taken:
                yield node

    # Rows from first to last: the first reduction of a decomposed layer norm takes in the second.
    for node in waiting("first", graph.nodes):
        take(node)
    # Later anchors first: a residual add goes to the later of its producers, whose other operand is then ready.
    for node in waiting("next", graph.nodes[::-1]):
        take(node)
    for node in graph.nodes:
        if id(node) not in taken:
            take(node)
    return sorted(regions, key=lambda region: region.tail.order)


def _terms(members: list[Node]) -> int:
    """Return how many terms the fully expanded expression of the last of `members` has."""
    sizes: dict[int, int] = {}
    for member in members:
        operands = sum(sizes.get(id(arg), 1) for arg in member.args)
        sizes[id(member)] = 1 + REPEATS.get(member.op, 1) * operands
    return sizes[id(members[-1])]


def _grow(anchor: Node, graph: Graph, rule: Rule, taken: set[int]) -> list[Node]:
    """Return the largest closed region from `anchor`: closed means that only its last member is read outside."""
    members, best = [anchor], [anchor]
    while len(members) < LARGEST_REGION and not any(graph.is_output(member) for member in members):
        inside = {id(member) for member in members}
        outside = [user for member in members for user in member.users if id(user) not in inside]
        if not outside:
            break
        nearest = min(outside, key=lambda user: user.order)
        if id(nearest) in taken or not rule.takes_in(anchor, nearest):
            break
        if _terms([*members, nearest]) > LARGEST_EXPRESSION:
            break
        members = [*members, nearest]
        inside.add(id(nearest))
        leaving = [m for m in members if graph.is_output(m) or any(id(user) not in inside for user in m.users)]
        if leaving == [nearest]:
            best = members
    return best
