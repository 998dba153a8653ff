"""Matrix products."""

from __future__ import annotations

from tvm import relax

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, cast, dtype_of, is_float, like, tensor


def _matmul(n: OnnxNode) -> Expr:
    return relax.op.matmul(n[0], n[1])


def _gemm(n: OnnxNode) -> Expr:
    """Gemm: alpha * A' * B' + beta * C, where ' is an optional transposition."""
    a, b, alpha, beta = n[0], n[1], n.attribute("alpha", 1.0), n.attribute("beta", 1.0)
    if alpha != 1:
        a = _scaled(n, a, alpha)
    a = relax.op.permute_dims(a, [1, 0]) if n.attribute("transA", 0) else a
    b = relax.op.permute_dims(b, [1, 0]) if n.attribute("transB", 0) else b
    product = relax.op.matmul(a, b)
    if not n.has(2) or beta == 0:
        return product
    return relax.op.add(product, n[2] if beta == 1 else _scaled(n, n[2], beta))


def _scaled(n: OnnxNode, x: Expr, factor: float) -> Expr:
    """Return `x` times the float `factor`; integers are multiplied as doubles and truncated."""
    kind = dtype_of(x)
    if is_float(kind):
        return relax.op.multiply(x, like(factor, x))
    product = relax.op.multiply(cast(x, "float64"), tensor(factor, "float64"))
    return n.emit(relax.op.astype(product, kind))


def _matmul_integer(n: OnnxNode) -> Expr:
    """MatMulInteger: multiplies int32 differences to the zero points, which may be per row of A or column of B."""
    return relax.op.matmul(_shifted(n, 0, 2, -1), _shifted(n, 1, 3, 0))


def _shifted(n: OnnxNode, index: int, zero: int, axis: int) -> Expr:
    x = cast(n[index], "int32")
    if not n.has(zero):
        return x
    point = cast(n[zero], "int32")
    if n.rank(zero) == 1 and n.shape(zero) != (1,):
        point = relax.op.expand_dims(point, axis=axis)
    elif n.rank(zero) == 1:
        point = relax.op.reshape(point, ())
    return relax.op.subtract(x, point)


CONVERTERS: dict[str, Converter] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
}
