"""`Samples`: a sequence of samples in a fixed order, which are read when needed, and parts of it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgec.data.labels import Label
from edgec.data.placement import Placement
from edgec.errors import BadOption


@dataclass(frozen=True, eq=False)
class Sample:
    """One set of inputs of the network and its label.

    Attributes:
        name: Name of the sample in messages and cache keys; unique within its `Samples`.
        inputs: Input name -> array, as the network takes it.
        label: Label, None if it is unknown.
        placement: Position of the original picture in the input; None if the input is not a picture.
    """

    name: str
    inputs: Mapping[str, np.ndarray[Any, Any]]
    label: Label | None = None
    placement: Placement | None = None


def fingerprint(sample: Sample) -> str:
    """Return the SHA-256 of the name and the inputs of a sample, which identifies data and preprocessing."""
    digest = hashlib.sha256(sample.name.encode())
    for name, array in sample.inputs.items():
        digest.update(f"\n{name}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Samples(ABC):
    """Samples in a fixed order; each is read when it is needed, and nothing is kept.

    `classes` names the classes of the labels by class index; empty if the source has no names.
    """

    classes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self[index]


AnySamples = Samples | Sequence[Sample]
"""Samples, or a list of samples in memory."""


class Subset(Samples):
    """The samples of `whole` at `indices`, in that order."""

    def __init__(self, whole: AnySamples, indices: Sequence[int]) -> None:
        self.classes = whole.classes if isinstance(whole, Samples) else ()
        self._whole = whole
        self._indices = tuple(int(index) for index in indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[self._indices[index]]


def spread(samples: AnySamples, count: int) -> Samples:
    """Return at most `count` samples at even distances, so that a source sorted by class contributes all classes.

    Raises:
        BadOption: `count` is below 1.
    """
    if count < 1:
        raise BadOption(f"cannot take {count} samples", remedy="Give a limit of at least 1.")
    if isinstance(samples, Samples) and count >= len(samples):
        return samples
    taken = min(count, len(samples))
    return Subset(samples, [position * len(samples) // taken for position in range(taken)])


def split(samples: AnySamples, shares: Sequence[float], seed: int) -> tuple[Samples, ...]:
    """Split at random, reproducibly, into disjoint parts: one for each of `shares`, each in the original order.

    Args:
        samples: What to split.
        shares: Fraction of the samples for each part, > 0 and together at most 1.
        seed: The same seed gives the same parts.

    Raises:
        BadOption: The fractions do not fit, or a part would be empty.
    """
    if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
        raise BadOption(f"the fractions {tuple(shares)} must be positive and at most 1 together")
    bounds = [round(bound * len(samples)) for bound in np.cumsum([0.0, *shares])]
    if any(start == stop for start, stop in pairwise(bounds)):
        raise BadOption(f"{len(samples)} samples are too few for the shares {tuple(shares)}", remedy="Give more data.")
    order = np.random.default_rng(seed).permutation(len(samples))
    return tuple(Subset(samples, sorted(order[a:b])) for a, b in pairwise(bounds))
