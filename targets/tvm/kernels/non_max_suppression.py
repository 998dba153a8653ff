"""Non-maximum suppression of every class of every picture, in parallel."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.kernels.heap import falling, sifting
from edgec.targets.tvm.kernels.opaque import OPAQUE

CHUNK = 32
"""Number of boxes compared with a candidate before the next test whether one suppressed it: whole vectors."""


def non_max_suppression(  # noqa: PLR0915 (a kernel is one function)
    batch: int, classes: int, boxes: int, per_class: int, *, has_threshold: bool, centre: bool
) -> Any:
    """Return the kernel: boxes, scores, most, overlap, threshold, number -> chosen, count.

    Candidates come off a heap in descending order of score, so that no more are sorted than are needed. A kept box of
    the same class suppresses a candidate if their intersection over union, as ONNX Runtime computes it, exceeds
    `overlap`.

    Args:
        batch: Number of pictures.
        classes: Number of classes.
        boxes: Number of boxes per picture, of which the first `number` are valid.
        per_class: Maximum number of boxes kept per class; `most` may ask for fewer.
        has_threshold: Whether only scores above the threshold are kept.
        centre: Whether boxes are (x centre, y centre, width, height) instead of two corners (y, x, y, x).
    """
    tasks, whole = batch * classes, batch * classes * per_class
    candidate = _above if has_threshold else _any
    sift, edge = sifting(falling), _centre_edge if centre else _corner_edge

    @T.prim_func(s_tir=True, private=True)
    def kernel(  # noqa: PLR0915
        b: T.handle,
        s: T.handle,
        m: T.handle,
        o: T.handle,
        t: T.handle,
        n: T.handle,
        c: T.handle,
        k: T.handle,
    ) -> None:
        T.func_attr(OPAQUE)
        B = T.match_buffer(b, (batch, boxes, 4), "float32")  # noqa: N806
        S = T.match_buffer(s, (tasks, boxes), "float32")  # noqa: N806
        most = T.match_buffer(m, (1,), "int64")
        overlap = T.match_buffer(o, (1,), "float32")
        threshold = T.match_buffer(t, (1,), "float32")
        number = T.match_buffer(n, (1,), "int64")
        C = T.match_buffer(c, (whole, 3), "int64")  # noqa: N806
        K = T.match_buffer(k, (1,), "int64")  # noqa: N806
        with T.sblock("root"):
            heap = T.alloc_buffer((tasks, boxes), "int32")
            found = T.alloc_buffer((tasks, per_class), "int32")
            numbers = T.alloc_buffer((tasks,), "int32")
            for task in T.parallel(tasks):
                # Top, left, bottom, right and area of each kept box.
                kept = T.alloc_buffer((5, per_class), "float32")
                box = T.alloc_buffer((5,), "float32", scope="local")
                at = T.alloc_buffer((1,), "int32", scope="local")
                child = T.alloc_buffer((1,), "int32", scope="local")
                moving = T.alloc_buffer((1,), "int32", scope="local")
                size: T.int32 = 0
                count: T.int32 = 0
                seen: T.int32 = 0
                suppressed: T.int32 = 0
                best: T.int32 = 0
                limit: T.int32 = T.cast(T.max(T.min(most[0], T.int64(per_class)), T.int64(0)), "int32")
                for i in T.serial(T.cast(number[0], "int32")):
                    heap[task, size] = i
                    size = size + candidate(S[task, i], threshold[0])
                for i in T.serial(size // 2):
                    sift(heap, S, task, at, child, moving, size // 2 - 1 - i, size)
                while size > 0 and count < limit:
                    best = heap[task, 0]
                    size = size - 1
                    heap[task, 0] = heap[task, size]
                    sift(heap, S, task, at, child, moving, 0, size)
                    box[0] = edge(B, task // classes, best, 0)
                    box[1] = edge(B, task // classes, best, 1)
                    box[2] = edge(B, task // classes, best, 2)
                    box[3] = edge(B, task // classes, best, 3)
                    box[4] = (box[2] - box[0]) * (box[3] - box[1])
                    seen = 0
                    suppressed = 0
                    while seen < count and suppressed == 0:
                        for j in T.serial(T.min(CHUNK, count - seen)):
                            suppressed = suppressed | _overlaps(box, kept, seen + j, overlap[0])
                        seen = seen + CHUNK
                    if suppressed == 0:
                        found[task, count] = best
                        for side in T.unroll(5):
                            kept[side, count] = box[side]
                        count = count + 1
                numbers[task] = count
            total: T.int64 = T.int64(0)
            for task in T.serial(tasks):
                for i in T.serial(numbers[task]):
                    C[total, 0] = T.cast(task // classes, "int64")
                    C[total, 1] = T.cast(task % classes, "int64")
                    C[total, 2] = T.cast(found[task, i], "int64")
                    total = total + T.int64(1)
            K[0] = total
            for i in T.serial(T.int64(whole) - total):
                for j in T.serial(3):
                    C[total + i, j] = T.int64(0)

    return kernel


def _above(score: Any, threshold: Any) -> Any:
    return tirx.Select(score > threshold, tirx.const(1, "int32"), tirx.const(0, "int32"))


def _any(_score: Any, _threshold: Any) -> Any:
    return tirx.const(1, "int32")


def _corner_edge(boxes: Any, picture: Any, box: Any, side: int) -> Any:
    """Return the top, left, bottom or right (0 to 3) of a box given by any two opposite corners."""
    pick = tirx.min if side < 2 else tirx.max
    return pick(boxes[picture, box, side % 2], boxes[picture, box, side % 2 + 2])


def _centre_edge(boxes: Any, picture: Any, box: Any, side: int) -> Any:
    """Return the same of a box given by its centre (x, y), width and height."""
    axis = 1 - side % 2
    half = boxes[picture, box, 2 + axis] / tirx.const(2, "float32")
    return boxes[picture, box, axis] - half if side < 2 else boxes[picture, box, axis] + half


def _overlaps(box: Any, kept: Any, j: Any, limit: Any) -> Any:
    """Return 1 if the intersection over union of `box` and kept box `j` exceeds `limit`, else 0."""
    zero = tirx.const(0, "float32")
    height = tirx.min(box[2], kept[2, j]) - tirx.max(box[0], kept[0, j])
    width = tirx.min(box[3], kept[3, j]) - tirx.max(box[1], kept[1, j])
    both = height * width
    over = both / (box[4] + kept[4, j] - both) > limit
    meet = tirx.bitwise_and(height > zero, width > zero)  # bitwise: it stays one vector instruction
    return tirx.Select(tirx.bitwise_and(meet, over), tirx.const(1, "int32"), tirx.const(0, "int32"))
