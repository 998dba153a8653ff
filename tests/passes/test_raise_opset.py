"""Operators whose form or meaning changed before opset 18: the outputs stay."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.errors import UnsupportedModel
from edgec.model.graph import opset
from edgec.passes.raise_opset import CANONICAL_OPSET, RaiseOpset
from tests.passes.equal import EXACT, applied
from tests.support.models import model, ops, random_weights

# opset, input and output shapes, body; initializers are those below that the body names.
CHANGED = {
    "BatchNormalization without spatial": (
        8, "1, 2, 3, 4", "1, 2, 3, 4", "y = BatchNormalization <spatial = 0> (x, s0, s1, s2, s3)",
    ),
    "BatchNormalization with spatial": (
        7, "1, 2, 3, 4", "1, 2, 3, 4", "y = BatchNormalization <spatial = 1> (x, c0, c1, c2, c3)",
    ),
    "Clip": (9, "2, 3", "2, 3", "y = Clip <min = -1.0, max = 0.5> (x)"),
    "Clip, one bound": (7, "2, 3", "2, 3", "y = Clip <max = 0.5> (x)"),
    "Dropout": (7, "2, 3", "2, 3", "d, mask = Dropout <ratio = 0.4> (x)  y = Relu (d)"),
    "LogSoftmax": (11, "2, 3, 4", "2, 3, 4", "y = LogSoftmax (x)"),
    "Pad": (9, "1, 2, 3, 4", "1, 2, 4, 6", "y = Pad <pads = [0, 0, 1, 0, 0, 0, 0, 2], value = 2.5> (x)"),
    "Pad, reflected": (7, "1, 3, 4", "1, 4, 6", 'y = Pad <mode = "reflect", pads = [0, 1, 0, 0, 0, 2]> (x)'),
    "ReduceL2": (13, "2, 3, 4", "2, 4", "y = ReduceL2 <axes = [-2], keepdims = 0> (x)"),
    "ReduceMean": (17, "2, 3, 4", "2, 1, 1", "y = ReduceMean <axes = [1, 2]> (x)"),
    "ReduceMax of all axes": (11, "2, 3, 4", "1, 1, 1", "y = ReduceMax (x)"),
    "ReduceSum": (11, "2, 3, 4", "2, 1, 4", "y = ReduceSum <axes = [1]> (x)"),
    "Resize nearest, enlarged": (10, "1, 2, 3, 4", "1, 2, 9, 8", 'y = Resize <mode = "nearest"> (x, scale_up)'),
    "Resize nearest, reduced": (10, "1, 2, 9, 8", "1, 2, 3, 4", 'y = Resize <mode = "nearest"> (x, scale_down)'),
    "Resize linear": (10, "1, 2, 3, 4", "1, 2, 9, 8", 'y = Resize <mode = "linear"> (x, scale_up)'),
    "Slice": (9, "4, 5", "2, 5", "y = Slice <axes = [0], starts = [1], ends = [3]> (x)"),
    "Slice without axes": (9, "4, 5", "2, 3", "y = Slice <starts = [1, 2], ends = [3, 99]> (x)"),
    "Softmax over the last axes": (11, "2, 3, 4", "2, 3, 4", "y = Softmax <axis = 1> (x)"),
    "Softmax over one axis": (11, "2, 3, 4", "2, 3, 4", "y = Softmax <axis = 2> (x)"),
    "Softmax over channels of one pixel": (9, "2, 3, 1, 1", "2, 3, 1, 1", "y = Softmax (x)"),
    "Split into equal parts": (13, "4, 6", "4, 3", "a, b = Split <axis = 1> (x)  y = Sub (a, b)"),
    "Split by sizes": (11, "4, 6", "4, 4", "a, y = Split <axis = 1, split = [2, 4]> (x)"),
    "Squeeze": (11, "1, 3, 1", "3, 1", "y = Squeeze <axes = [0]> (x)"),
    "Squeeze of all": (11, "1, 3, 1", "3", "y = Squeeze (x)"),
    "TopK": (9, "2, 5", "2, 3", "y, i = TopK <k = 3> (x)"),
    "Unsqueeze": (12, "2, 3", "1, 2, 3, 1", "y = Unsqueeze <axes = [0, 3]> (x)"),
    "Upsample nearest, by attribute": (
        7, "1, 2, 3, 4", "1, 2, 9, 8", 'y = Upsample <mode = "nearest", scales = [1.0, 1.0, 3.0, 2.0]> (x)',
    ),
    "Upsample nearest": (9, "1, 2, 3, 4", "1, 2, 9, 8", 'y = Upsample <mode = "nearest"> (x, scale_up)'),
    "Upsample linear": (
        8, "1, 2, 3, 4", "1, 2, 9, 8", 'y = Upsample <mode = "linear", scales = [1.0, 1.0, 3.0, 2.0]> (x)',
    ),
}  # fmt: skip
INITIALIZERS = (
    random_weights(s0=(2, 3, 4), s1=(2, 3, 4), s2=(2, 3, 4), c0=(2,), c1=(2,), c2=(2,))
    | {"s3": np.linspace(0.5, 2, 24, dtype=np.float32).reshape(2, 3, 4), "c3": np.array([0.5, 2], np.float32)}
    | {"scale_up": np.array([1, 1, 3, 2], np.float32), "scale_down": np.array([1, 1, 1 / 3, 0.5], np.float32)}
)


@pytest.mark.parametrize("case", CHANGED)
def test_changed_operator(case: str) -> None:
    version, x, y, body = CHANGED[case]
    used = {name: array for name, array in INITIALIZERS.items() if name in body}
    before = model(f"g (float[{x}] x) => (float[{y}] y) {{ {body} }}", used, opset=version)
    after, report = applied(RaiseOpset(), before)
    assert opset(after) == CANONICAL_OPSET
    assert report.changes == (f"opset {version} raised to 18",)


def test_scatter_is_renamed() -> None:
    before = model(
        "g (float[3, 3] x) => (float[3, 3] y) { y = Scatter <axis = 0> (x, at, to) }",
        random_weights(to=(1, 3)) | {"at": np.array([[0, 1, 2]])},
        opset=9,
    )
    assert ops(applied(RaiseOpset(), before, tolerance=EXACT)[0]) == ["ScatterElements"]


def test_names_of_nodes_and_values_stay() -> None:
    before = model("g (float[2, 3] x) => (float[2, 3] y) { c = Clip <min = 0.0> (x)  y = Relu (c) }", opset=9)
    next(iter(before.graph)).name = "my_clip"
    after, _ = applied(RaiseOpset(), before, tolerance=EXACT)
    clip, relu = after.graph
    assert (clip.name, clip.outputs[0].name, relu.outputs[0].name) == ("my_clip", "c", "y")


@pytest.mark.parametrize("version", [18, 21])
def test_newer_models_are_left(version: int) -> None:
    before = model("g (float[2, 3] x) => (float[2, 3] y) { y = Relu (x) }", opset=version)
    after, report = applied(RaiseOpset(), before)
    assert not report.modified
    assert opset(after) == version


REFUSED = {
    "training mode": (
        8,
        "y, m, v, sm, sv = BatchNormalization (x, c0, c1, c2, c3)  z = Identity (m)",
        ", float[2] z",
    ),
    "constant scales that all enlarge": (10, 'y = Resize <mode = "nearest"> (x, mixed)', ""),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason: str) -> None:
    version, body, more = REFUSED[reason]
    arrays = INITIALIZERS | {"mixed": np.array([1, 1, 2, 0.5], np.float32)}
    used = {name: array for name, array in arrays.items() if name in body}
    before = model(f"g (float[1, 2, 2, 2] x) => (float[1, 2, H, W] y{more}) {{ {body} }}", used, opset=version)
    with pytest.raises(UnsupportedModel, match=reason):
        RaiseOpset()(before)
