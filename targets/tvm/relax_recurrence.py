"""The steps of a recurrent layer as a Relax operator: its calls, its type, and its kernel if no rule takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import _ffi_api as ir_functions  # Python has no other way to create an operator

from edgec.targets.tvm.cpu_model import model_of_target
from edgec.targets.tvm.recurrence import RECURRENCE, Recurrence
from edgec.targets.tvm.schedules.plain.recurrent import RESULTS, described, recurrent_function
from edgec.targets.tvm.schedules.plain.recurrent_kernel import Result

LEVEL = 11
"""Priority of operator attributes: above the default, so that a second import of this module may set them again."""


def recurrence_call(what: Recurrence, operands: Mapping[str, relax.Expr]) -> relax.Call:
    """Return the call that computes `what` of `operands`, see `schedules.plain.recurrent.recurrent_function`."""
    attributes = tvm.ir.make_node("ir.DictAttrs", recurrence=what.model_dump_json(), operands=",".join(operands))
    return relax.Call(tvm.ir.Op.get(RECURRENCE), list(operands.values()), attributes)


def shapes(what: Recurrence) -> list[tuple[int, ...]]:
    """Return the shapes of Y, Y_h and, of an LSTM, Y_c."""
    state = (what.directions, what.batch, what.hidden)
    return [(what.steps, *state), state, state][: 3 if what.kind == "LSTM" else 2]


def _infer(call: relax.Call, _builder: relax.BlockBuilder) -> relax.TupleType:
    what, _ = described(call.attrs)
    return relax.TupleType([relax.TensorType(list(shape), "float32") for shape in shapes(what)])


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Return the call of the kernel, for networks without regions: those with control flow or dynamic shapes."""
    what, names = described(call.attrs)
    operands = {name: _value(argument) for name, argument in zip(names, call.args, strict=True)}
    results = [
        Result(name, shape, tuple(range(len(shape)))) for name, shape in zip(RESULTS, shapes(what), strict=False)
    ]
    function, arguments = recurrent_function(what, operands, results, model_of_target(tvm.target.Target.current()))
    variable = builder.add_func(function, "recurrent")
    given = [
        argument.expression if isinstance(argument, _Variable) else relax.const(argument) for argument in arguments
    ]
    return relax.call_tir(variable, given, out_ty=list(call.ty.fields))


class _Variable:
    """An argument that is not a constant: its expression, shape and type."""

    def __init__(self, expression: relax.Expr) -> None:
        self.expression = expression
        self.shape = tuple(int(extent) for extent in expression.ty.shape.values)
        self.dtype = str(expression.ty.dtype)


def _value(argument: relax.Expr) -> Any:
    return argument.value.numpy() if isinstance(argument, tvm.ir.GenericConst) else _Variable(argument)


def _register() -> None:
    if RECURRENCE not in tvm.ir.Op.list_op_names():
        ir_functions.RegisterOp(
            RECURRENCE, "Steps of an LSTM, GRU or RNN; attributes: see `edgec.targets.tvm.recurrence`."
        )
    for name, value in (("FInferType", _infer), ("FPurity", True), ("FLegalize", _legalize)):
        tvm.ir.register_op_attr(RECURRENCE, name, value, level=LEVEL)


_register()
