"""What operators of the standard domain are: sets that several rooms ask about, one place for each property."""

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
"""A function of one element at a time, of one operand."""

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
"""A function of one element at a time, of several operands with numpy's broadcasting."""

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
"""Multiply-accumulates of the first operand with the second, which usually holds constant weights."""

RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""The elements of the first operand in their order, under another shape."""

MOVES = VIEWS | {"DepthToSpace", "SpaceToDepth", "Transpose"}
"""The elements of the first operand, each once, perhaps elsewhere."""

SELECTIONS = MOVES | {"MaxPool"}
"""No other values than those of the first operand: what is known of their range holds for the result."""

QUANTIZERS = frozenset({"DequantizeLinear", "QuantizeLinear"})

INTEGER_LAYERS = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})
"""Multiply-accumulates on integers."""
