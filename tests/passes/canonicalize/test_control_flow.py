"""If, Loop, Scan and sequences that fixed shapes decide: what is left computes the same without them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.model.control_flow import is_control_flow
from edgec.model.infer import infer_shapes
from edgec.model.load import load
from edgec.model.sequences import MAKERS, READERS
from edgec.model.shapes import fix_shapes, open_shapes
from edgec.model.signature import outputs_of
from edgec.passes.canonicalize import Canonicalize
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.passes.equal import canonical
from tests.support.models import model, ops, proto

CONSTANTS = """int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 three = {3}, bool yes = {1}, bool no = {0},
    int64[1] first = {0}, int64[1] second = {1}, int64[1] third = {2}, int64[2] last_two = {2, 3},
    int64[4] size = {2, 3, 1, 1}, float half = {0.5}"""


def graph(body: str, inputs: str = "float[N, C, H, W] x", outputs: str = "float[a, b, c, d] y") -> str:
    return f"g ({inputs}) => ({outputs}) <{CONSTANTS}> {{ {body} }}"


def branches(condition: str, then: str, otherwise: str, out: str = "y") -> str:
    """Write an If whose branches give `t` and `e`."""
    return f"""{out} = If ({condition}) <then_branch = yes_{out} () => (float[] t) {{ {then} }},
                                        else_branch = no_{out} () => (float[] e) {{ {otherwise} }}>"""


CHANNELS = "s = Shape (x)  c = Gather (s, one)  is = Equal (c, three)"

IFS = {
    "on the number of channels": f"{CHANNELS}  {branches('is', 't = Relu (x)', 'e = Neg (x)')}",
    "not taken because of it": f"{CHANNELS}  isnt = Not (is)  {branches('isnt', 't = Relu (x)', 'e = Neg (x)')}",
    "on the rank": f"""s = Shape (x)  r = Shape (s)  k = Squeeze (r)  big = Greater (k, three)
        {branches("big", "t = Relu (x)", "e = Neg (x)")}""",
    "on arithmetic with height and width": f"""s = Shape (x)  h = Gather (s, two)  w = Gather (s, three)
        m = Mul (h, w)  q = Mod (m, two)  f = Cast <to = 1> (q)  tall = Less (f, half)
        {branches("tall", "t = Relu (x)", "e = Neg (x)")}""",
    "that returns an outer value": f"r = Relu (x)  {branches('yes', 't = Identity (r)', 'e = Neg (r)')}",
    "that returns an input": branches("no", "t = Neg (x)", "e = Identity (x)"),
    "that returns a constant": branches(
        "yes", "t = Constant <value = float[1, 3, 1, 1] {1, 2, 3}> ()", "e = Neg (x)", "k"
    ) + "  y = Mul (x, k)",
    "that returns only a constant": branches(
        "yes", "t = Constant <value = float[1, 1, 1, 2] {1, 2}> ()", "e = Neg (x)"
    ),
    "of different ranks": f"""p = ReduceMean <axes = [2, 3]> (x)
        {branches("no", "t = Squeeze (p, third)", "e = Identity (p)", "q")}  y = Sigmoid (q)""",
    "of different ranks, the other way": f"""p = ReduceMean <axes = [2, 3]> (x)
        {branches("yes", "t = Squeeze (p, last_two)", "e = Identity (p)", "q")}  y = Unsqueeze (q, last_two)""",
    "whose other branch cannot be computed": branches("yes", "t = Relu (x)", "e = Squeeze (x, third)"),
    "whose other branch has another type": branches("yes", "t = Relu (x)", "e = Shape (x)"),
    "inside another": branches(
        "yes",
        """u = Exp (x)  t = If (yes) <then_branch = inner () => (float[] p) { p = Relu (u) },
                                      else_branch = other () => (float[] q) { q = Neg (u) }>""",
        "e = Neg (x)",
    ),
    "inside another, on the shape there": f"""{CHANNELS}  y = If (is) <
        then_branch = outer () => (float[] t) {{
            p = GlobalAveragePool (x)  s2 = Shape (p)  h = Gather (s2, two)  small = Less (h, three)
            t = If (small) <then_branch = inner () => (float[] v) {{ v = Mul (x, p) }},
                            else_branch = other () => (float[] q) {{ q = Neg (p) }}> }},
        else_branch = never () => (float[] e) {{ e = Neg (x) }}>""",
    "one after the other, same names inside": f"""{branches("yes", "a = Relu (x)  t = Neg (a)", "e = Neg (x)", "p")}
        {branches("yes", "a = Abs (p)  t = Exp (a)", "e = Neg (p)")}""",
    "in a row, each on the shape the last one gives": f"""
        {branches("yes", "t = ReduceMean <axes = [2, 3], keepdims = 0> (x)", "e = Identity (x)", "p")}
        s = Shape (p)  r = Shape (s)  k = Squeeze (r)  flat = Equal (k, two)
        {branches("flat", "t = Unsqueeze (p, last_two)", "e = Identity (p)")}""",
    "of two outputs": """p, q = If (yes) <
        then_branch = a () => (float[] t, float[] u) { t = Relu (x)  u = Neg (x) },
        else_branch = b () => (float[] e, float[] f) { e = Neg (x)  f = Relu (x) }>  y = Sub (p, q)""",
    "of two outputs that are one value": """p, q = If (yes) <
        then_branch = a () => (float[] t, float[] u) { t = Relu (x)  u = Identity (t) },
        else_branch = b () => (float[] e, float[] f) { e = Neg (x)  f = Relu (x) }>  y = Sub (p, q)""",
    "whose condition an If gives": f"""c = If (yes) <then_branch = a () => (bool t) {{ t = Not (no) }},
        else_branch = b () => (bool e) {{ e = Identity (no) }}>  {branches("c", "t = Relu (x)", "e = Neg (x)")}""",
    "with a layer in it": branches(
        "yes", "w = ConstantOfShape <value = float[1] {0.5}> (size)  t = Conv (x, w)", "e = Neg (x)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", IFS.values(), ids=IFS)
def test_if_of_a_known_condition(body: str) -> None:
    before = model(graph(body), shapes={"x": (1, 3, 4, 6)})
    assert all(spec.shape for spec in outputs_of(before))
    assert not control_flow(canonical(before))


LOOPS = {
    "of constant length": "y = Loop (three, yes, x) <{carry}>",
    "without a condition": "y = Loop (three, , x) <{carry}>",
    "as long as a picture is wide": "s = Shape (x)  n = Gather (s, three)  y = Loop (n, yes, x) <{carry}>",
    "never run": "y = Loop (three, no, x) <{carry}>",
    "of no iteration": "y = Loop (zero, yes, x) <{carry}>",
    "that counts": """i, y = Loop (, yes, zero, x) <body = b (int64 i, bool go, int64 n, float[] v)
        => (bool still, int64 m, float[] w) { m = Add (n, one)  still = Less (m, three)  w = Exp (v) }>""",
    "that counts to a limit": """i, y = Loop (two, yes, zero, x) <body = b (int64 i, bool go, int64 n, float[] v)
        => (bool still, int64 m, float[] w) { m = Add (n, one)  still = Less (m, three)  w = Exp (v) }>""",
    "that stops at once": """y = Loop (three, yes, x) <body = b (int64 i, bool go, float[] v)
        => (bool still, float[] w) { still = Identity (no)  w = Exp (v) }>""",
    "that collects": """z, all = Loop (three, yes, x) <body = b (int64 i, bool go, float[] v)
        => (bool still, float[] w, float[] out) { still = Identity (go)  w = Exp (v)  out = Neg (v) }>
        y = ReduceMean <axes = [0], keepdims = 0> (all)""",
    "that only collects": """all = Loop (three, yes) <body = b (int64 i, bool go)
        => (bool still, float[] out) { still = Identity (go)  f = Cast <to = 1> (i)  out = Mul (x, f) }>
        y = ReduceMean <axes = [0], keepdims = 0> (all)""",
    "that gathers by its iteration": """all = Loop (three, yes) <body = b (int64 i, bool go)
        => (bool still, float[] out) { still = Identity (go)  out = Gather <axis = 1> (x, i) }>
        y = Transpose <perm = [1, 0, 2, 3]> (all)""",
    "inside a loop": """y = Loop (two, yes, x) <body = b (int64 i, bool go, float[] v) => (bool still, float[] w) {
        still = Identity (go)  w = Loop (three, yes, v) <
            body = c (int64 j, bool on, float[] p) => (bool and, float[] q) {
                and = Identity (on)  q = Tanh (p) }> }>""",
    "with an If on its iteration": """y = Loop (three, yes, x) <body = b (int64 i, bool go, float[] v)
        => (bool still, float[] w) { still = Identity (go)  even = Equal (i, zero)
            w = If (even) <then_branch = t () => (float[] p) { p = Relu (v) },
                           else_branch = e () => (float[] q) { q = Tanh (v) }> }>""",
    "that grows": """y = Loop (two, yes, x) <body = b (int64 i, bool go, float[] v)
        => (bool still, float[] w) { still = Identity (go)  w = Concat <axis = 1> (v, x) }>""",
    "whose body has a constant": """y = Loop (two, yes, x) <body = b (int64 i, bool go, float[] v)
        => (bool still, float[] w) <float k = {2}> { still = Identity (go)  w = Mul (v, k) }>""",
    "whose body hands on an outer value": """r = Relu (x)  z, y = Loop (two, yes, x, x) <
        body = b (int64 i, bool go, float[] v, float[] u) => (bool still, float[] w, float[] o) {
            still = Identity (go)  w = Identity (r)  o = Add (u, v) }>""",
    "that swaps what it carries": """a = Neg (x)  y, z = Loop (three, yes, x, a) <
        body = b (int64 i, bool go, float[] v, float[] u) => (bool still, float[] w, float[] o) {
            still = Identity (go)  w = Identity (u)  o = Exp (v) }>""",
}
CARRY = """body = b (int64 i, bool go, float[] v) => (bool still, float[] w) {
    still = Identity (go)  f = Cast <to = 1> (i)  w = Add (v, f) }"""


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_loop_of_known_length(body: str) -> None:
    before = model(graph(body.replace("{carry}", CARRY)), shapes={"x": (1, 3, 4, 6)})
    assert all(spec.shape for spec in outputs_of(before))
    assert not control_flow(canonical(before))


SCANS = {
    "over rows": """y = Scan <num_scan_inputs = 1, scan_input_axes = [2], scan_output_axes = [2], body = b (float[] r)
        => (float[] o) { o = Relu (r) }> (x)""",
    "with a state": """i0 = ReduceMin <axes = [2], keepdims = 0> (x)  z, y = Scan <num_scan_inputs = 1,
        scan_input_axes = [2], scan_output_axes = [2], body = b (float[] v, float[] r) => (float[] w, float[] o) {
            w = Add (v, r)  o = Identity (w) }> (i0, x)""",
    "backwards, written in front": """i0 = ReduceMin <axes = [2], keepdims = 0> (x)  z, y = Scan <num_scan_inputs = 1,
        scan_input_axes = [2], scan_input_directions = [1], scan_output_axes = [-2], scan_output_directions = [1],
        body = b (float[] v, float[] r) => (float[] w, float[] o) { w = Add (v, r)  o = Neg (w) }> (i0, x)""",
}


@pytest.mark.parametrize("body", SCANS.values(), ids=SCANS)
def test_scan(body: str) -> None:
    assert not control_flow(canonical(model(graph(body), shapes={"x": (1, 3, 4, 6)})))


SEQUENCES = {
    "filled by a loop": """q = SequenceEmpty <dtype = 1> ()  all = Loop (three, yes, q) <
        body = b (int64 i, bool go, seq(float[]) v) => (bool still, seq(float[]) w) {
            still = Identity (go)  p = Gather <axis = 1> (x, i)  w = SequenceInsert (v, p) }>
        y = ConcatFromSequence <axis = 1, new_axis = 1> (all)""",
    "filled by a loop, joined": """q = SequenceEmpty <dtype = 1> ()  all = Loop (three, yes, q) <
        body = b (int64 i, bool go, seq(float[]) v) => (bool still, seq(float[]) w) {
            still = Identity (go)  w = SequenceInsert (v, x) }>
        y = ConcatFromSequence <axis = 1> (all)""",
    "split and read": "q = SplitToSequence <axis = 1> (x)  y = SequenceAt (q, one)",
    "split and read from the end": "q = SplitToSequence <axis = -1> (x, two)  m = Neg (one)  y = SequenceAt (q, m)",
    "split unevenly": """n = Constant <value = int64 {4}> ()  q = SplitToSequence <axis = 3> (x, n)
        y = SequenceAt (q, one)""",
    "split by sizes": """n = Constant <value = int64[2] {1, 2}> ()  q = SplitToSequence <axis = 1> (x, n)
        y = SequenceAt (q, one)""",
    "unbound": """q = SplitToSequence <axis = 1, keepdims = 0> (x)  a = SequenceAt (q, two)
        y = Unsqueeze (a, first)""",
    "of values": "a = Relu (x)  q = SequenceConstruct (x, a)  y = SequenceAt (q, one)",
    "as long as it is": """q = SplitToSequence <axis = 1> (x)  n = SequenceLength (q)  f = Cast <to = 1> (n)
        y = Mul (x, f)""",
    "edited": """a = Relu (x)  q = SequenceConstruct (x, a)  b = Neg (x)  r = SequenceInsert (q, b, zero)
        s = SequenceErase (r, one)  t = SequenceErase (s)  y = SequenceAt (t, zero)""",
    "read by a loop": """q = SplitToSequence <axis = 1> (x)  n = SequenceLength (q)  i0 = SequenceAt (q, zero)
        y = Loop (n, yes, i0) <body = b (int64 i, bool go, float[] v) => (bool still, float[] w) {
            still = Identity (go)  e = SequenceAt (q, i)  w = Add (v, e) }>""",
    "one of two": """a = Relu (x)  q = If (yes) <
        then_branch = a1 () => (seq(float[]) t) { t = SequenceConstruct (x, a) },
        else_branch = b1 () => (seq(float[]) e) { e = SequenceConstruct (a) }>  y = SequenceAt (q, one)""",
}


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("body", SEQUENCES.values(), ids=SEQUENCES)
def test_sequence_of_known_length(body: str, opset: int) -> None:
    before = model(graph(body), shapes={"x": (1, 3, 4, 6)}, opset=opset)
    after = canonical(before)
    assert not control_flow(after)
    assert not (MAKERS | READERS) & set(ops(after))


def control_flow(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph.all_nodes() if is_control_flow(node)]


LARGEST = "m = ReduceMax <keepdims = 0> (x)  c = Greater (m, half)  n = Cast <to = 7> (m)"
LEFT = {
    "an If": ("its condition depends on the data", f"{LARGEST}  {branches('c', 't = Relu (x)', 'e = Neg (x)')}"),
    "trip count": ("its trip count depends on the data", f"{LARGEST}  y = Loop (n, yes, x) <{CARRY}>"),
    "first condition": ("its first condition depends on the data", f"{LARGEST}  y = Loop (three, c, x) <{CARRY}>"),
    "condition": (
        "its condition depends on the data",
        """y = Loop (three, yes, x) <body = b (int64 i, bool go, float[] v) => (bool still, float[] w) {
            w = Exp (v)  m = ReduceMax <keepdims = 0> (w)  still = Less (m, half) }>""",
    ),
    "iterations": (
        "are too many to write out",
        f"n = Constant <value = int64 {{1000000000000}}> ()  y = Loop (n, yes, x) <{CARRY}>",
    ),
    "iterations without limit": (
        "are too many to write out",
        """i, y = Loop (, yes, zero, x) <body = b (int64 i, bool go, int64 n, float[] v)
            => (bool still, int64 m, float[] w) { m = Add (n, one)  still = Less (n, m)  w = Exp (v) }>""",
    ),
}


@pytest.mark.parametrize(("reason", "body"), LEFT.values(), ids=LEFT)
def test_control_flow_that_stays_is_named(reason: str, body: str) -> None:
    before = model(graph(body), shapes={"x": (1, 3, 4, 6)})
    nodes = len(ops(before))
    result = Canonicalize()(before)
    assert control_flow(result.model)
    ((where, why),) = result.refusals
    assert where in ("y", "i")
    assert reason in why
    assert len(ops(result.model)) <= nodes


def test_inference_leaves_the_nodes_of_the_model() -> None:
    source = load(proto(graph(LOOPS["inside a loop"]))).model
    before = [node.op_type for node in source.graph.all_nodes()]
    source.graph.inputs[0].shape = ir.Shape([1, 3, 4, 6])
    infer_shapes(source)
    assert [node.op_type for node in source.graph.all_nodes()] == before
    assert source.graph.outputs[0].shape == ir.Shape([1, 3, 4, 6])


REFUSED_BY_THE_REFERENCE = "whose other branch has another type"


@pytest.mark.parametrize("body", [*IFS.values(), *LOOPS.values(), *SCANS.values(), *SEQUENCES.values()])
def test_what_shapes_decide_is_what_the_file_computes(body: str) -> None:
    source = load(proto(graph(body.replace("{carry}", CARRY)), opset=17)).model
    fixed = fix_shapes(source, {"x": (1, 3, 4, 6)})
    feeds = {"x": np.random.default_rng(0).uniform(-2, 2, (1, 3, 4, 6)).astype(np.float32)}
    if body == IFS[REFUSED_BY_THE_REFERENCE]:
        return
    assert compare(Reference(open_shapes(source)).run(feeds), Reference(fixed).run(feeds)).within(0)
    assert not control_flow(fixed)
