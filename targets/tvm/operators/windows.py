"""Windows that slide over the spatial axes: their attributes, complete and without negative padding."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax

from edgec.targets.tvm.operators.node import Expr, OnnxNode


@dataclass(frozen=True)
class Window:
    """Kernel, strides, dilations, and padding before and after, each with one number per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of the dilated kernel."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    @property
    def padding(self) -> list[int]:
        """Padding in the form of Relax."""
        return [*self.before, *self.after]


def window_of(n: OnnxNode, kernel: tuple[int, ...]) -> Window:
    """Return the window of a convolution or pool (canonical: padding is explicit)."""
    rank = len(kernel)
    ones = (1,) * rank
    pads = n.attribute("pads") or (0,) * (2 * rank)
    return Window(
        kernel, n.attribute("strides") or ones, n.attribute("dilations") or ones, tuple(pads[:rank]), tuple(pads[rank:])
    )


def cropped(x: Expr, window: Window, shape: tuple[int, ...]) -> tuple[Expr, Window, tuple[int, ...]]:
    """Crop `x` by the negative padding; return it, the window with padding of 0 there, and its shape."""
    if min(*window.before, *window.after) >= 0:
        return x, window, shape
    axes = list(range(2, len(shape)))
    begin = [max(0, -pad) for pad in window.before]
    end = [size - max(0, -pad) for size, pad in zip(shape[2:], window.after, strict=True)]
    kept = tuple(max(0, pad) for pad in window.before), tuple(max(0, pad) for pad in window.after)
    whole = (*shape[:2], *(last - first for first, last in zip(begin, end, strict=True)))
    cut = relax.op.strided_slice(x, axes, begin, end)
    return cut, Window(window.kernel, window.strides, window.dilations, *kept), whole
