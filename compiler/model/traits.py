"""Properties of standard operators, as sets that several rooms use; each property has one place here."""

from __future__ import annotations

UNARY = frozenset(
    {
        "Abs",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitwiseNot",
        "Cast",
        "Ceil",
        "Celu",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Not",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
    }
)
"""Element-wise functions of one operand."""

ELEMENTWISE = frozenset(
    {
        "Add",
        "And",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Or",
        "PRelu",
        "Pow",
        "Sub",
        "Sum",
        "Where",
        "Xor",
    }
)
"""Element-wise functions of several operands with numpy's broadcasting."""

REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Multiply-accumulates of the first operand with the second, which is usually a constant weight."""

RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators whose result has the elements of the first operand in the same order, under another shape."""

MOVES = VIEWS | {"DepthToSpace", "SpaceToDepth", "Transpose"}
"""Operators whose result has each element of the first operand once, possibly at another place."""

SELECTIONS = MOVES | {"MaxPool"}
"""Operators whose result has only values of the first operand, so that its range holds for the result."""

QUANTIZERS = frozenset({"DequantizeLinear", "QuantizeLinear"})

INTEGER_LAYERS = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})
"""Multiply-accumulates on integers."""
