"""Sizes that depend on the data: the message names the node they come from, and never sends the user to --shape."""

from __future__ import annotations

import re

import pytest

from edgec.errors import UnsupportedModel
from edgec.model.graph import is_static
from edgec.model.load import load
from edgec.model.open_sizes import openers
from edgec.model.shapes import fix_shapes
from edgec.model.signature import outputs_of
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from tests.support.models import proto

HEADER = "g (float[N, 8] x, float[M, 4] boxes) => (float[a, b] y)"
CONSTANTS = "int64[1] two = {2}, int64[1] first = {0}, int64 zero = {0}, float half = {0.5}, int64[1] rest = {-1}"
OPEN = {
    "NonMaxSuppression node 'kept' keeps as many boxes as their scores allow": """
        b = Unsqueeze (boxes, first)  t = Transpose (boxes)  s = Unsqueeze (t, first)
        kept = NonMaxSuppression (b, s, two)  i = Gather <axis = 1> (kept, zero)
        g = Gather (boxes, i)  y = Relu (g)""",
    "NonZero node 'places' finds as many elements as are not zero": "places = NonZero (x)  y = Cast <to = 1> (places)",
    "Unique node 'u' finds as many elements as differ": "u = Unique <axis = 0> (x)  y = Relu (u)",
    "Compress node 'c' keeps as many elements": """
        p = Greater (x, half)  f = Reshape (p, rest)  c = Compress (x, f)  y = Relu (c)""",
    "TopK node 'best' has a size that is computed from the data ('k')": """
        m = ReduceMax <keepdims = 0> (x)  n = Cast <to = 7> (m)  k = Unsqueeze (n, first)
        best, at = TopK (x, k)  y = Relu (best)""",
    "Reshape node 'r' has a size that is computed from the data ('to')": """
        m = ReduceMax <keepdims = 0> (x)  n = Cast <to = 7> (m)  k = Unsqueeze (n, first)
        to = Concat <axis = 0> (k, rest)  r = Reshape (x, to)  y = Relu (r)""",
    "Range node 'r' has a size that is computed from the data ('m')": """
        m = ReduceMax <keepdims = 0> (x)  r = Range (half, m, half)  y = Relu (r)""",
    "If node 'chosen' depends on the data": """
        m = ReduceMax <keepdims = 0> (x)  c = Greater (m, half)
        chosen = If (c) <then_branch = t () => (float[] p) { p = Relu (x) },
                         else_branch = e () => (float[] q) { q = Relu (boxes) }>  y = Neg (chosen)""",
    "Loop node 'all' depends on the data": """
        m = ReduceMax <keepdims = 0> (x)  n = Cast <to = 7> (m)
        all = Loop (n, , x) <body = b (int64 i, bool go, float[] v) => (bool still, float[] w) {
            still = Identity (go)  w = Concat <axis = 0> (v, x) }>  y = Relu (all)""",
}


@pytest.mark.parametrize("message", OPEN)
def test_the_node_that_opens_a_size_is_named(message: str) -> None:
    fixed = fix_shapes(load(proto(f"{HEADER} <{CONSTANTS}> {{ {OPEN[message]} }}", opset=13)).model, {"boxes": (6, 4)})
    for refuse in (lambda: outputs_of(fixed), lambda: _canonical(fixed)):
        with pytest.raises(UnsupportedModel) as caught:
            refuse()
        operator, _, rest = message.partition(" node '")  # a node without a name gets one, of its operator's
        assert re.search(f"{operator} node '({operator}_)?{re.escape(rest)}", caught.value.problem)
        assert "--shape" not in str(caught.value)
        assert caught.value.remedy


def _canonical(model: object) -> None:
    pipeline.run(model, profile=Profile(), options=CompileOptions(target="host"), record=Record())


def test_rois_chosen_by_a_suppression_are_its_doing() -> None:
    body = """b = Unsqueeze (boxes, first)  t = Transpose (boxes)  s = Unsqueeze (t, first)
        kept = NonMaxSuppression (b, s, two)  i = Gather <axis = 1> (kept, zero)  rois = Gather (boxes, i)
        n = Shape (i)  on = Expand (zero, n)  y = RoiAlign <output_height = 2, output_width = 2> (picture, rois, on)"""
    header = "g (float[1, 3, 8, 8] picture, float[6, 4] boxes) => (float[a, 3, 2, 2] y)"
    fixed = fix_shapes(load(proto(f"{header} <{CONSTANTS}> {{ {body} }}", opset=16)).model, {})
    assert [node.op_type for node in openers(fixed.graph.outputs[0])] == ["NonMaxSuppression"]


def test_several_nodes_are_all_named() -> None:
    body = "u = NonZero (x)  v = NonZero (boxes)  w = Concat <axis = 1> (u, v)  y = Cast <to = 1> (w)"
    fixed = fix_shapes(load(proto(f"{HEADER} {{ {body} }}")).model, {"boxes": (6, 4)})
    with pytest.raises(UnsupportedModel, match=r"NonZero node 'v' .*; NonZero node 'u' "):
        outputs_of(fixed)


def test_operator_of_another_domain() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "com.mine" : 1]>
    g (float[1, 4] x) => (float[a, b] y) { m = com.mine.Magic (x)  y = Relu (m) }"""
    with pytest.raises(UnsupportedModel, match=r"Magic node 'm' is of the domain 'com\.mine'"):
        outputs_of(fix_shapes(load(proto(text)).model, {}))


def test_an_input_left_open_is_a_matter_of_shape() -> None:
    model = load(proto(f"{HEADER} {{ y = Relu (x) }}")).model
    with pytest.raises(UnsupportedModel, match="an input is open") as caught:
        outputs_of(model)
    assert "--shape" in caught.value.remedy


def test_a_static_value_has_no_opener() -> None:
    model = fix_shapes(load(proto(f"{HEADER} {{ y = Relu (x) }}")).model, {"boxes": (6, 4)})
    assert is_static(model.graph.outputs[0])
    assert openers(model.graph.outputs[0]) == ()
