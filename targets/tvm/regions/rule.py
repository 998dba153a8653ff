"""What a schedule says of itself, what it is given and what it hands back: rules, regions and kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.readable import is_packed_elementwise

Layout = Literal["packed", "plain"]
"""How the result of a rule lies in memory: in blocks of channels, or as ONNX has it."""


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
    """How it is tiled."""
    results: Sequence[Node] = ()
    """Of a kernel with several results, or with others than that of its region's tail: what it computes, in order."""
    rule: str = ""
    """Name of the rule that made it, noted by `choices.lower_region`."""
    workload: str = ""
    """What it computes, where it could have been tiled otherwise: the key of a `Workload`, noted by the pipeline."""


@dataclass(eq=False)
class Region:
    """What one kernel computes: `members` in topological order, of which `rule`, if any, took the first one."""

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
        """Whether the value that leaves it lies in blocks of channels."""
        return self.rule is not None and self.rule.layout == "packed"

    def followers(self) -> str:
        """Return what follows the anchor as text, for the key of a workload."""
        names = (member.op.removeprefix("relax.").removeprefix("nn.") for member in self.members[1:])
        return f": {', '.join(names)}" if len(self.members) > 1 else ""


@dataclass(frozen=True)
class Workload:
    """What the time of a region's kernel depends on, as text, and its multiply-accumulates done directly."""

    key: str
    macs: int


@dataclass(frozen=True)
class Tuning:
    """How the kernels of a rule could be tiled otherwise. Rules that name the same `workload` compete for a region.

    Attributes:
        workload: Returns the workload of a region.
        plans: Returns plans, dataclasses, for an anchor: the rule's own first, then those that promise most; none where
            the rule cannot take it.
        lower: Returns the kernel of a region by one of the plans.
        macs_saved: Multiply-accumulates of the direct method for each that this one does.
    """

    workload: Callable[[Region], Workload]
    plans: Callable[[Node, CpuModel], Sequence[Any]]
    lower: Callable[[Region, CpuModel, Any], Kernel]
    macs_saved: float = 1.0


@dataclass(frozen=True)
class Rule:
    """A schedule: which nodes it takes, and how it lowers the regions that begin with them.

    Attributes:
        name: The name by which the report and the manifest count its kernels.
        layout: How its results lie in memory.
        match: Says whether it takes a node; it is asked in topological order, after all rules before it.
        lower: Returns the kernel of a region, tiled by rule.
        fits: Says whether the region of an anchor takes in a node that reads one of its members. By default a region in
            packed layout takes in elementwise work on its shape, and one in plain layout takes in nothing.
        grows: When its regions take in other nodes. Elementwise work goes last, so that others can take it in.
        tuning: How its kernels could be tiled otherwise; None where there is nothing to choose.
    """

    name: str
    layout: Layout
    match: Callable[[Node, CpuModel], bool]
    lower: Callable[[Region, CpuModel], Kernel]
    fits: Callable[[Node, Node], bool] | None = None
    grows: Literal["first", "next", "last"] = "next"
    tuning: Tuning | None = None

    def takes_in(self, anchor: Node, node: Node) -> bool:
        """Whether the region of `anchor` takes in `node`, which reads one of its members."""
        if self.fits is not None:
            return self.fits(anchor, node)
        return self.layout == "packed" and node.shape == anchor.shape and is_packed_elementwise(node)
