"""`find_groups`: the channels that can be pruned, in groups that share a ratio, and why others cannot be pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant, label, opset
from edgec.passes.channels.coupling import FIXED, Ids
from edgec.passes.channels.propagate import propagate
from edgec.passes.channels.propagation import Propagation, Role, Use

OLDEST_OPSET = 18
NO_UNIT = -1


@dataclass(frozen=True, eq=False)
class Member:
    """One axis of a layer's constant, and the group's unit for each index along it (`NO_UNIT`: not in this group)."""

    node: str
    op: str
    tensor: str
    axis: int
    role: Role
    units: Ids


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that the same layers compute and read. A unit of one or more channels is the least that can be removed.

    Attributes:
        name: Name of the first layer that computes them; unique.
        units: Number of units.
        members: The constants that shrink with it.
        floors: Sets of units of which one must stay, because no tensor may become empty.
    """

    name: str
    units: int
    members: tuple[Member, ...]
    floors: tuple[frozenset[int], ...]
    roots: Ids = field(repr=False)

    @property
    def makers(self) -> tuple[Member, ...]:
        """The layers that compute its channels."""
        return tuple(member for member in self.members if member.role == "filters")

    @property
    def readers(self) -> tuple[Member, ...]:
        """The layers that sum over its channels."""
        return tuple(member for member in self.members if member.role == "reads")

    @property
    def width(self) -> int:
        """Number of channels of the narrowest tensor that contains all units."""
        full = [m.units for m in self.makers if len(np.unique(m.units[m.units != NO_UNIT])) == self.units]
        return min((int((units != NO_UNIT).sum()) for units in full), default=self.units)


def readers_of(groups: Iterable[Group]) -> set[str]:
    """Return the names of the layers that sum over channels of `groups`."""
    return {reader.node for group in groups for reader in group.readers}


def weights_of(model: ir.Model, member: Member) -> np.ndarray[Any, Any]:
    """Return the constant of a member of a group of `model`; it shares memory with the model."""
    value = model.graph.initializers.get(member.tensor)
    if value is None:
        outputs = (output for node in model.graph for output in node.outputs)
        value = next((output for output in outputs if output.name == member.tensor), None)
    array = constant(value)
    if array is None:
        raise ValueError(f"{member.tensor}, weights of {member.node}, is not constant")
    return array


@dataclass(frozen=True)
class Blocked:
    """A layer that cannot be pruned, or only in part, and the reason."""

    layer: str
    reason: str


@dataclass(frozen=True, eq=False)
class Channels:
    """Information on the channels of a model: the groups, the blocked layers, and the propagation they come from."""

    groups: tuple[Group, ...]
    blocked: tuple[Blocked, ...]
    propagation: Propagation = field(repr=False)


def find_groups(model: ir.Model) -> Channels:
    """Find the prunable channels of `model`.

    Args:
        model: Model with static shapes, opset 18 or newer; it is not modified.

    Raises:
        ValueError: The opset is older; run `RaiseOpset` first.
    """
    if opset(model) < OLDEST_OPSET:
        raise ValueError(f"opset {opset(model)}: raise it to {OLDEST_OPSET} first")
    found = propagate(model)
    makers = [use for use in found.uses if use.role == "filters"]
    components = _components([_free_roots(found, use.operand.axes[use.axis]) for use in makers])
    members: dict[int, list[Member]] = defaultdict(list)
    units = {root: unit for roots in components for unit, root in enumerate(roots)}
    owner = {root: number for number, roots in enumerate(components) for root in roots}
    for use in found.uses:
        for number, member in _members(found, use, units, owner):
            members[number].append(member)
    floors = _floors(found, units, owner)
    groups, names, single = [], set(), {}
    for number, roots in enumerate(components):
        name = next(member.node for member in members[number] if member.role == "filters")
        while name in names:
            name += "'"
        names.add(name)
        group = Group(name, len(roots), tuple(members[number]), tuple(floors.get(number, ())), np.array(roots))
        if not group.readers:
            continue  # no node reads them: the clean-up removes the layer
        if group.units > 1:
            groups.append(group)
        else:
            single.update(dict.fromkeys(roots, name))
    return Channels(tuple(groups), tuple(_blocked(found, makers, single)), found)


def _free_roots(found: Propagation, ids: Ids) -> list[int]:
    """Return the sets among `ids` that may be removed, each once, in order."""
    free = ids[~found.coupling.fixed(ids)]
    return list(dict.fromkeys(found.coupling.roots(free).tolist()))


def _components(axes: Iterable[Sequence[int]]) -> list[list[int]]:
    """Join the axes that share a set; return the sets of each component, in order of first appearance."""
    home: dict[int, int] = {}
    content: dict[int, dict[int, None]] = {}
    for number, roots in enumerate(axes):
        if not roots:
            continue
        touched = sorted({home[root] for root in roots if root in home})
        target = touched[0] if touched else number
        merged = content.setdefault(target, {})
        for other in touched[1:]:
            merged.update(content.pop(other))
        merged.update(dict.fromkeys(roots))
        home.update(dict.fromkeys(merged, target))
    return [list(content[number]) for number in sorted(content)]


def _members(
    found: Propagation, use: Use, units: dict[int, int], owner: dict[int, int]
) -> Iterable[tuple[int, Member]]:
    roots = found.coupling.roots(use.operand.axes[use.axis]).tolist()
    for number in dict.fromkeys(owner[root] for root in roots if root in owner):
        own = np.array([units[root] if owner.get(root) == number else NO_UNIT for root in roots], np.int64)
        name = use.operand.value.name or ""
        yield number, Member(label(use.node), use.node.op_type, name, use.axis, use.role, own)


def _floors(found: Propagation, units: dict[int, int], owner: dict[int, int]) -> dict[int, set[frozenset[int]]]:
    floors: dict[int, set[frozenset[int]]] = defaultdict(set)
    tensors = [*found.values.values(), *(operand.axes for operand in found.operands)]
    for ids in (ids for axes in tensors for ids in axes if (ids != FIXED).any()):
        roots = found.coupling.roots(ids)
        if found.coupling.fixed(ids).any():
            continue  # another channel stays in any case
        held: dict[int, set[int]] = defaultdict(set)
        for root in np.unique(roots).tolist():
            if root in owner:
                held[owner[root]].add(units[root])
        for number, there in held.items():
            floors[number].add(frozenset(there))
    return {number: {f for f in sets if not any(g < f for g in sets)} for number, sets in floors.items()}


def _blocked(found: Propagation, makers: Sequence[Use], single: dict[int, str]) -> Iterable[Blocked]:
    for use in makers:
        ids: np.ndarray[Any, Any] = use.operand.axes[use.axis]
        if len(ids) == 1:
            continue
        stay = ids[found.coupling.fixed(ids)]
        reasons = dict.fromkeys(filter(None, map(found.coupling.reason, stay.tolist())))
        share = "" if len(stay) == len(ids) else f"{len(stay)} of {len(ids)} channels cannot be removed: "
        for reason in reasons:
            yield Blocked(label(use.node), share + reason)
        if any(root in single for root in found.coupling.roots(ids).tolist()):
            yield Blocked(label(use.node), "all its channels depend on each other")
