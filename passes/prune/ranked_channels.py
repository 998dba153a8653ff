"""`RankedChannels`: the groups of a model that may be pruned, and the order in which their units are removed."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from edgec.data.samples import AnySamples, Samples, spread
from edgec.errors import BadOption
from edgec.passes.channels.groups import Channels, Group, find_groups, readers_of
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.layerwise.gram import MOMENT_SAMPLES
from edgec.passes.layerwise.moments import LayerMoments, layer_moments
from edgec.passes.prune.rank import DATA_DRIVEN, Ranking, choose, rank
from edgec.pruning import PruneOptions
from edgec.reference.sweep import Feeds
from edgec.registry import suggest


def select_groups(channels: Channels, include: Sequence[str], exclude: Sequence[str]) -> list[Group]:
    """Return the groups with a computing layer that matches `include` (if any) and none that matches `exclude`.

    Raises:
        BadOption: A pattern matches no layer, or no group is left.
    """
    makers = {group.name: [member.node for member in group.makers] for group in channels.groups}
    layers = [name for names in makers.values() for name in names] + [blocked.layer for blocked in channels.blocked]
    for pattern in (*include, *exclude):
        if not fnmatch.filter(layers, pattern):
            raise BadOption(f"pattern {pattern!r} matches no layer with filters", remedy=suggest(pattern, layers))

    def matches(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.filter(makers[name], pattern) for pattern in patterns)

    chosen = [
        group
        for group in channels.groups
        if (not include or matches(group.name, include)) and not matches(group.name, exclude)
    ]
    if not chosen:
        why = "; ".join(f"{each.layer} {each.reason}" for each in channels.blocked[:3])
        raise BadOption(
            f"no group of channels can be pruned{f': {why}' if why else ''}",
            remedy="Outputs of the model are never pruned; include more, or exclude less.",
        )
    return chosen


@dataclass(frozen=True, eq=False)
class RankedChannels:
    """A model with its ranked groups.

    Attributes:
        model: Model as `prepare` returns it.
        channels: All groups and blocked layers.
        groups: The groups that may be pruned.
        rankings: Group name -> order in which its units are removed.
        moments: Layer name -> moments of its inputs, for the layers that read these groups; None without samples.
        calibration: Inputs of the samples for the repair.
    """

    model: ir.Model
    channels: Channels
    groups: list[Group]
    rankings: dict[str, Ranking]
    moments: Mapping[str, LayerMoments] | None
    calibration: Collection[Feeds] = field(repr=False)

    @classmethod
    def of(
        cls,
        model: ir.Model,
        options: PruneOptions,
        samples: AnySamples | None,
        *,
        threads: int | None = None,
    ) -> RankedChannels:
        """Find, select and rank the groups of a model that `prepare` returned.

        Args:
            model: The model.
            options: Criterion, patterns, and whether weights will be repaired.
            samples: Samples for moments and repair; at most `MOMENT_SAMPLES` of them are used, evenly spread.
            threads: Number of threads, as for `Reference`.

        Raises:
            BadOption: A pattern matches nothing, or the criterion is unknown or needs data that is not given.
        """
        channels = find_groups(model)
        groups = select_groups(channels, options.include, options.exclude)
        feeds = _Feeds(spread(samples or [], MOMENT_SAMPLES))
        data_driven = options.criterion in DATA_DRIVEN
        moments = None
        if feeds and (data_driven or options.repair):
            moments = layer_moments(model, readers_of(groups), feeds, threads=threads)
        rankings = {group.name: rank(model, group, options.criterion, moments) for group in groups}
        return cls(model, channels, groups, rankings, moments, feeds)

    def plan(self, ratios: Mapping[str, float], multiple: int) -> PrunePlan:
        """Return the plan for the given ratio of each group."""
        chosen = {g.name: (g, choose(g, self.rankings[g.name], ratios.get(g.name, 0.0), multiple)) for g in self.groups}
        return PrunePlan.of(chosen)


class _Feeds(Collection[Feeds]):
    """The inputs of samples, which are read again in every iteration."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Feeds]:
        return (sample.inputs for sample in self._samples)

    def __contains__(self, item: object) -> bool:
        return any(feeds is item for feeds in self)
