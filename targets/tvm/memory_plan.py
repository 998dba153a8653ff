"""Places of tensors in one block of memory: those that live at the same time do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """A tensor of `size` bytes that is written at step `first` and read for the last time at step `last`."""

    size: int
    first: int
    last: int


def peak_of(lifetimes: Sequence[Lifetime]) -> int:
    """Return the maximum number of bytes alive at one step: no placement needs less."""
    change: dict[int, int] = {}
    for tensor in lifetimes:
        change[tensor.first] = change.get(tensor.first, 0) + tensor.size
        change[tensor.last + 1] = change.get(tensor.last + 1, 0) - tensor.size
    peak = alive = 0
    for step in sorted(change):
        alive += change[step]
        peak = max(peak, alive)
    return peak


def place(lifetimes: Sequence[Lifetime], alignment: int) -> tuple[list[int], int]:
    """Return the offset of each tensor, a multiple of `alignment`, and the bytes needed.

    Greedy by size for offsets (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020):
    each tensor goes into the narrowest gap between those already placed that it meets; greedy by time likewise, and
    the better of the two.
    """
    orders: tuple[Callable[[int], tuple[int, int]], ...] = (
        lambda at: (-lifetimes[at].size, lifetimes[at].first),
        lambda at: (lifetimes[at].first, -lifetimes[at].size),
    )
    plans = [_placed(sorted(range(len(lifetimes)), key=order), lifetimes, alignment) for order in orders]
    return min(plans, key=lambda plan: plan[1])


def _placed(order: Sequence[int], lifetimes: Sequence[Lifetime], alignment: int) -> tuple[list[int], int]:
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    total = 0
    for at in order:
        mine = lifetimes[at]
        met = [o for o in placed if lifetimes[o].first <= mine.last and mine.first <= lifetimes[o].last]
        offsets[at] = _narrowest_gap(mine.size, sorted((offsets[o], lifetimes[o].size) for o in met), alignment)
        placed.append(at)
        total = max(total, offsets[at] + mine.size)
    return offsets, total


def _narrowest_gap(size: int, taken: Sequence[tuple[int, int]], alignment: int) -> int:
    """Return the offset of the smallest gap between the `taken` (offset, size), ascending, or the end."""
    best, narrowest, end = None, 0, 0
    for offset, extent in taken:
        gap = offset - end
        if gap >= size and (best is None or gap < narrowest):
            best, narrowest = end, gap
        end = max(end, -(-(offset + extent) // alignment) * alignment)
    return end if best is None else best
