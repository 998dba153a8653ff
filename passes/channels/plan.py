"""`PrunePlan`: the channels to remove from each group, as data that can be saved, edited and applied."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from edgec.errors import BadOption, first_problem, reason
from edgec.passes.channels.groups import Channels, Group
from edgec.registry import suggest
from edgec.whole_file import write_text

FORMAT = 1


class GroupPlan(BaseModel):
    """Plan of one group: its number of units, and those to remove (ascending, from 0)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: int
    removed: tuple[int, ...]


class PrunePlan(BaseModel):
    """Group name -> units to remove; groups without an entry stay whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    groups: dict[str, GroupPlan] = {}

    @classmethod
    def of(cls, removed: Mapping[str, tuple[Group, Sequence[int]]]) -> PrunePlan:
        """Make a plan from group name -> (group, units to remove)."""
        plans = {
            name: GroupPlan(units=group.units, removed=tuple(sorted(map(int, units))))
            for name, (group, units) in removed.items()
            if len(units)
        }
        return cls(groups=plans)

    def save(self, path: Path) -> None:
        """Write the plan as JSON.

        Raises:
            BadOption: The file cannot be written.
        """
        write_text(path, json.dumps(self.model_dump(), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> PrunePlan:
        """Read a plan.

        Raises:
            BadOption: The file is unreadable or not a plan.
        """
        try:
            plan = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BadOption(
                f"prune plan {path}: {reason(error)}", remedy="`edgec prune --save-plan` writes one."
            ) from error
        except ValidationError as error:
            problem = f"prune plan {path}: {first_problem(error)}"
            raise BadOption(problem, remedy="`edgec prune --save-plan` writes one.") from error
        if plan.format != FORMAT:
            raise BadOption(f"prune plan {path} has format {plan.format}, but this edgec reads {FORMAT}")
        return plan

    def check(self, channels: Channels) -> None:
        """Raise an error for a plan that does not fit the groups of a model.

        Raises:
            BadOption: A group is unknown or has another number of units, a unit does not exist, or a tensor would
                lose all its channels.
        """
        known = {group.name: group for group in channels.groups}
        for name, plan in self.groups.items():
            if name not in known:
                raise BadOption(f"prune plan: the model has no prunable group {name!r}", remedy=suggest(name, known))
            group = known[name]
            if plan.units != group.units:
                raise BadOption(
                    f"prune plan: group {name!r} has {group.units} units, but the plan says {plan.units}",
                    remedy="Make a new plan for this model.",
                )
            removed = set(plan.removed)
            if removed and not (min(removed) >= 0 and max(removed) < group.units):
                raise BadOption(f"prune plan: group {name!r} has units 0 to {group.units - 1}, not all of {removed}")
            if len(removed) == group.units or any(floor <= removed for floor in group.floors):
                raise BadOption(f"prune plan: group {name!r} would leave a tensor without channels")


def removed_roots(plan: PrunePlan, channels: Channels) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the sets of channels (their ids, see `Coupling`) that `plan` removes.

    Raises:
        BadOption: The plan does not fit, see `PrunePlan.check`.
    """
    plan.check(channels)
    chosen = [
        group.roots[list(plan.groups[group.name].removed)] for group in channels.groups if group.name in plan.groups
    ]
    return np.concatenate([np.zeros(0, np.int64), *chosen])
