"""Subsets: what is taken, in which order, and that it is the same every time."""

from __future__ import annotations

import pytest

from edgec.data.labels import ClassLabel
from edgec.data.samples import Sample, Samples, split, spread
from edgec.errors import BadOption


class Numbers(Samples):
    """Sample k is called k; `read` lists what was asked for."""

    classes = ("even", "odd")

    def __init__(self, count: int) -> None:
        self.count = count
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return Sample(str(index), {}, ClassLabel(index % 2))


def names(samples: Samples) -> list[int]:
    return [int(sample.name) for sample in samples]


def test_a_limit_takes_samples_from_everywhere() -> None:
    assert names(spread(Numbers(10), 4)) == [0, 2, 5, 7]
    assert names(spread(Numbers(3), 5)) == [0, 1, 2]


def test_only_what_is_asked_for_is_read() -> None:
    numbers = Numbers(100)
    part = spread(numbers, 10)
    assert numbers.read == []
    assert part[3].name == "30"
    assert numbers.read == [30]
    assert part.classes == ("even", "odd")


def test_a_split_is_disjoint_ordered_and_repeatable() -> None:
    a, b = split(Numbers(100), (0.3, 0.7), seed=4)
    assert (len(a), len(b)) == (30, 70)
    assert sorted(names(a) + names(b)) == list(range(100))
    assert names(a) == sorted(names(a)) == names(split(Numbers(100), (0.3, 0.7), seed=4)[0])
    assert names(a) != names(split(Numbers(100), (0.3, 0.7), seed=5)[0])
    assert len(split(Numbers(10), (0.2, 0.2), seed=0)) == 2


@pytest.mark.parametrize("shares", [(0.6, 0.6), (0.0, 1.0), (-0.5, 1.0)])
def test_shares_that_do_not_fit_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(BadOption, match="fractions"):
        split(Numbers(10), shares, seed=0)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(BadOption, match="too few"):
        split(Numbers(3), (0.1, 0.9), seed=0)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(BadOption, match="0 samples"):
        spread(Numbers(3), 0)
