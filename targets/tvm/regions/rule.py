"""The interface of schedules: `Rule` describes one, a `Region` is its input, a `Kernel` its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.readable import is_packed_elementwise

Layout = Literal["packed", "plain"]
"""Memory layout of a rule's result: packed (in blocks of channels), or plain as in ONNX."""


@dataclass(frozen=True)
class Operand:
    """An argument of a kernel: a node in packed or plain layout, or a constant already in the kernel's layout."""

    source: Node | Array
    packed: bool = False


@dataclass(frozen=True)
class Kernel:
    """A scheduled function with its arguments, and the shape of its result."""

    function: Any
    operands: Sequence[Operand]
    shape: tuple[int, ...]
    detail: str = ""
    """Its tiling, as text."""
    results: Sequence[Node] = ()
    """The computed nodes, in order, if the kernel has several results, or another one than its region's tail."""
    rule: str = ""
    """Name of the rule that lowered it, set by `choices.lower_region`."""
    workload: str = ""
    """Key of its `Workload` if it could have been tiled differently, set by the pipeline."""


@dataclass(eq=False)
class Region:
    """The nodes that one kernel computes: `members` in topological order; `rule`, if any, took the first one."""

    rule: Rule | None
    members: list[Node]

    @property
    def anchor(self) -> Node:
        """First member."""
        return self.members[0]

    @property
    def tail(self) -> Node:
        """The member whose value leaves the region."""
        return self.members[-1]

    @property
    def is_packed(self) -> bool:
        """Whether the value that leaves it is in packed layout."""
        return self.rule is not None and self.rule.layout == "packed"

    def followers(self) -> str:
        """Return the operators after the anchor as text, for the key of a workload."""
        names = (member.op.removeprefix("relax.").removeprefix("nn.") for member in self.members[1:])
        return f": {', '.join(names)}" if len(self.members) > 1 else ""


@dataclass(frozen=True)
class Workload:
    """What the time of a region's kernel depends on, as text, and its multiply-accumulates by the direct method."""

    key: str
    macs: int


@dataclass(frozen=True)
class Tuning:
    """How the kernels of a rule could be tiled differently. Rules with the same `workload` compete for a region.

    Attributes:
        workload: Returns the workload of a region.
        plans: Returns plans, dataclasses, for an anchor: the default first, then the most promising ones; none if the
            rule does not support it.
        lower: Returns the kernel of a region by one of the plans.
        macs_saved: Multiply-accumulates of the direct method for each one of this method.
    """

    workload: Callable[[Region], Workload]
    plans: Callable[[Node, CpuModel], Sequence[Any]]
    lower: Callable[[Region, CpuModel, Any], Kernel]
    macs_saved: float = 1.0


@dataclass(frozen=True)
class Rule:
    """A schedule: which nodes it takes as anchors, and how it lowers the regions that begin with them.

    Attributes:
        name: The name by which the report and the manifest count its kernels.
        layout: Memory layout of its results.
        match: Returns whether the rule takes a node; called in topological order, after all rules before it.
        lower: Returns the kernel of a region with the default tiling.
        fits: Returns whether an anchor's region takes in a node that reads one of its members. By default a region in
            packed layout takes in elementwise work on its shape, and one in plain layout takes in nothing.
        grows: When its regions take in other nodes; elementwise rules are last, so that others can take their nodes.
        tuning: How its kernels could be tiled differently; None if there is nothing to choose.
    """

    name: str
    layout: Layout
    match: Callable[[Node, CpuModel], bool]
    lower: Callable[[Region, CpuModel], Kernel]
    fits: Callable[[Node, Node], bool] | None = None
    grows: Literal["first", "next", "last"] = "next"
    tuning: Tuning | None = None

    def takes_in(self, anchor: Node, node: Node) -> bool:
        """Return whether the region of `anchor` takes in `node`, which reads one of its members."""
        if self.fits is not None:
            return self.fits(anchor, node)
        return self.layout == "packed" and node.shape == anchor.shape and is_packed_elementwise(node)
