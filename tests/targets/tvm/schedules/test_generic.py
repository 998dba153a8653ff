"""What TVM's own legalization gives: vectors wherever TVM has the operators for vectors."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm")
import tvm
from tvm import relax, te, tirx

from edgec.targets.tvm.build import compile_kernels
from edgec.targets.tvm.cpu import llvm_target
from edgec.targets.tvm.schedules.generic import VECTOR_OPERATORS, schedule_function
from tests.support.lowered import HOST, MODEL, check

OPS = relax.op


def focus(x, rng):
    """Every second pixel, four times: what YOLOX and YOLOv5 begin with."""
    parts = [OPS.strided_slice(x, [2, 3], [row, column], [24, 32], [2, 2]) for column in (0, 1) for row in (0, 1)]
    return rng.emit(OPS.concat(parts, axis=1))


def test_slices_that_are_joined_are_right():
    assert check(focus, [(1, 3, 24, 32)], MODEL).fallbacks() == []


def scheduled(element):
    x = te.placeholder((4, 64), name="x")
    out = te.compute((8, 64), lambda i, j: element(x, i, j), name="out")
    return schedule_function(te.create_prim_func([x, out]), MODEL)


def test_a_result_without_elements_has_nothing_to_schedule():
    x = te.placeholder((4, 64), name="x")
    out = te.compute((4, 0), lambda i, j: x[i, j], name="out")
    assert schedule_function(te.create_prim_func([x, out]), MODEL)[1] == "injective"


@pytest.mark.parametrize(
    "element",
    [
        lambda x, i, j: tirx.if_then_else(i < 4, x[i, j], x[i - 4, j]),
        lambda x, i, j: tirx.ceil(x[i % 4, j]),
        lambda x, i, j: tirx.exp(x[i % 4, j]) + tirx.log2(x[i % 4, j]),
    ],
)
def test_choices_and_functions_become_vectors(element):
    function, rule = scheduled(element)
    assert rule == "injective"
    assert "T.vectorized" in function.script()


def test_what_has_no_vector_form_stays_scalar():
    function, rule = scheduled(lambda x, i, j: tirx.cosh(x[i % 4, j]))
    assert rule == "injective"
    assert "T.vectorized" not in function.script()


def test_rows_of_64_bits_that_end_within_a_vector_are_compiled(tmp_path):
    many, one = tirx.const(300, "int64"), tirx.const(1, "int64")
    x, count = te.placeholder((many,), "int64", name="x"), te.placeholder((one,), "int64", name="count")
    zero = tirx.const(0, "int64")
    out = te.compute((many,), lambda i: tirx.Select(zero < tirx.Cast("int64", i < count[0]), x[i], zero), name="out")
    function, rule = schedule_function(te.create_prim_func([x, count, out]), MODEL)
    assert rule == "injective"
    compile_kernels({"kept": function.with_attr("global_symbol", "kept")}, llvm_target(HOST), tmp_path / "kept.o")


def test_rows_read_at_rounded_places_that_end_within_a_vector_are_compiled(tmp_path):
    many, most = tirx.const(300, "int64"), tirx.const(299, "int64")
    x = te.placeholder((many,), name="x")

    def place(i):
        return tirx.min(tirx.Cast("int64", tirx.floor(tirx.Cast("float32", i) * tirx.const(0.5, "float32"))), most)

    out = te.compute((many,), lambda i: x[place(i)], name="out")
    function, _ = schedule_function(te.create_prim_func([x, out]), MODEL)
    compile_kernels({"kept": function.with_attr("global_symbol", "kept")}, llvm_target(HOST), tmp_path / "kept.o")


def test_every_vector_operator_is_one_of_tvm():
    known = set(tvm.ir.Op.list_op_names())
    assert {name for name in VECTOR_OPERATORS if not {f"tirx.{name}", f"prim.{name}"} & known} == set()


MOVES = {
    "last axis first": ((2, 24, 5, 19), lambda x: OPS.permute_dims(x, [0, 3, 1, 2])),
    "last two exchanged": ((3, 33, 21), lambda x: OPS.permute_dims(x, [0, 2, 1])),
    "all turned": ((4, 8, 16, 9), lambda x: OPS.permute_dims(x, [3, 2, 1, 0])),
    "rows shorter than a vector": ((5, 7, 3), lambda x: OPS.concat([x, x], axis=1)),
    "rows that end within a vector": ((3, 5, 35), lambda x: OPS.nn.pad(x, [0, 0, 1, 0, 2, 3])),
    "joined, one of them turned": (
        (1, 16, 16),
        lambda x: OPS.concat([x, OPS.permute_dims(x, [0, 2, 1])], axis=2),
    ),
}


@pytest.mark.parametrize("case", MOVES.values(), ids=MOVES.keys())
def test_moves(case):
    shape, move = case
    assert check(lambda x, rng: rng.emit(move(x)), [shape], MODEL).fallbacks() == []


def test_a_value_read_twice_in_each_of_many_steps_is_not_written_out_again_and_again():
    def residuals(x, rng):
        for _ in range(40):
            x = rng.emit(OPS.add(OPS.multiply(x, relax.const(0.4, "float32")), rng.emit(OPS.nn.relu(x))))
        return x

    assert check(residuals, [(2, 5, 24)], MODEL).fallbacks() == []


ODD = {
    "slices": (lambda x, rng: OPS.strided_slice(x, [1], [3], [8]), (1, 9, 28, 28)),
    "joins": (lambda x, rng: OPS.concat([x, x], axis=1), (1, 5, 28, 28)),
    "joins of odd rows": (lambda x, rng: OPS.concat([x, x], axis=1), (1, 5, 7, 7)),
    "activations": (lambda x, rng: OPS.sigmoid(x), (1, 5, 13, 13)),
    "activations of a broadcast": (lambda x, rng: OPS.tanh(OPS.add(x, weights(rng, 5, 1, 13))), (1, 5, 13, 13)),
    "choices": (lambda x, rng: OPS.where(OPS.greater(x, weights(rng, 13)), x, OPS.negative(x)), (1, 5, 13, 13)),
    "transposes": (lambda x, rng: OPS.permute_dims(x, [0, 2, 1]), (3, 29, 43)),
}


def weights(rng, *shape):
    return relax.const(rng.standard_normal(shape).astype("float32"))


@pytest.mark.parametrize("case", ODD.values(), ids=ODD.keys())
def test_vectors_run_through_the_ends_of_odd_rows(case):
    build, shape = case
    assert check(build, [shape], MODEL).fallbacks() == []


def test_axes_that_lie_end_to_end_are_one():
    x = te.placeholder((9, 28, 28), name="x")
    out = te.compute((5, 28, 28), lambda c, h, w: x[c + 3, h, w], name="out")
    function, _ = schedule_function(te.create_prim_func([x, out]), MODEL)
    assert "x[0, 0, v0 + 2352]" in function.script()


def test_the_last_vector_of_a_row_ends_with_it():
    x = te.placeholder((1445,), name="x")
    out = te.compute((1445,), lambda i: tirx.exp(x[i]), name="out")
    function, _ = schedule_function(te.create_prim_func([x, out]), MODEL)
    assert "T.where" not in function.script() and "T.min" in function.script()


def test_places_computed_from_the_lane_keep_their_condition():
    """Its last stage is fused over two axes of 14 elements together, and is not the only one."""
    assert check(lambda x, rng: OPS.argmax(x, axis=1, keepdims=True), [(1, 6, 7, 2)], MODEL).rules
