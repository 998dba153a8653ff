"""Concatenations and slices without a copy: the parts lie inside the whole, unless that raises the peak memory."""

from __future__ import annotations

from dataclasses import dataclass

from edgec.targets.tvm.memory_plan import Lifetime, peak_of


@dataclass(eq=False)
class Block:
    """Memory of one tensor: its own, or `offset` bytes into that of `parent`."""

    size: int
    first: int = -1
    last: int = -1
    pinned: bool = False
    parent: Block | None = None
    offset: int = 0

    def touch(self, step: int) -> None:
        """Note that the call number `step` reads or writes the block."""
        self.first = step if self.first < 0 else self.first
        self.last = step

    def root(self) -> tuple[Block, int]:
        """Return the block that holds this one, and the offset in it."""
        block, offset = self, 0
        while block.parent is not None:
            block, offset = block.parent, offset + block.offset
        return block, offset


@dataclass(frozen=True)
class View:
    """A call that copies nothing if `children` lie at `offsets` in `parent`."""

    step: int
    parent: Block
    children: tuple[Block, ...]
    offsets: tuple[int, ...]


def in_place(blocks: list[Block], views: list[View], alignment: int) -> set[int]:
    """Make children of as many views as possible, the largest first; return the steps of the calls this saves.

    A whole lives from its first part to the last reader of any part. If that raises the peak memory, views are given
    up, beginning with those that lower it most.
    """
    limit, taken = _peak(blocks), []
    for view in sorted(views, key=_saved, reverse=True):
        root = view.parent.root()[0]
        free = all(child.parent is None and not child.pinned for child in view.children)
        distinct = len({id(block) for block in (*view.children, root)}) == len(view.children) + 1
        if free and distinct and not root.pinned and not any(at % alignment for at in view.offsets):
            _attach(view)
            taken.append(view)
    while _peak(blocks) > limit:
        worst = min(taken, key=lambda view: (_peak_without(view, blocks), _saved(view)))
        _detach(worst)
        taken.remove(worst)
    for block in blocks:
        root = block.root()[0]
        root.first, root.last = _union(root, block)
    return {view.step for view in taken}


def _saved(view: View) -> int:
    return sum(child.size for child in view.children)


def _attach(view: View) -> None:
    for child, offset in zip(view.children, view.offsets, strict=True):
        child.parent, child.offset = view.parent, offset


def _detach(view: View) -> None:
    for child in view.children:
        child.parent = None


def _peak_without(view: View, blocks: list[Block]) -> int:
    _detach(view)
    peak = _peak(blocks)
    _attach(view)
    return peak


def _union(one: Block, other: Block) -> tuple[int, int]:
    firsts = [block.first for block in (one, other) if block.first >= 0]
    return min(firsts, default=-1), max(one.last, other.last)


def _peak(blocks: list[Block]) -> int:
    spans: dict[int, tuple[int, int, int]] = {}
    for block in blocks:
        root = block.root()[0]
        if root.pinned or block.first < 0:
            continue
        size, first, last = spans.get(id(root), (root.size, block.first, block.last))
        spans[id(root)] = (size, min(first, block.first), max(last, block.last))
    return peak_of([Lifetime(*span) for span in spans.values()])
