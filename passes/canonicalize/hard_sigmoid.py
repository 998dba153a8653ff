"""Recognizes HardSigmoid and HardSwish in the Add, Clip, Mul (and Div) into which exporters decompose them."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgec.model.edit import substitute
from edgec.model.graph import attribute, label
from edgec.passes.canonicalize.operands import clip_bounds, is_float, own_producer, scalar_operand
from edgec.passes.canonicalize.rule import Outcome, rule

RELATIVE = 1e-6
"""Tolerance of constants: exporters write 1/6 as 0.16666667, 0.1666666 or not at all."""
SIXTH = 1 / 6


@rule("Mul")
def hard_sigmoid_from_clip(node: ir.Node) -> Outcome:
    """Before: Clip(x + b, 0, h) * (1 / h). After: HardSigmoid(x, alpha = 1 / h, beta = b / h).

    Division by a constant has been rewritten as multiplication. HardSigmoid is max(0, min(1, alpha * x + beta)).
    """
    scaled = scalar_operand(node)
    clip = None if scaled is None else own_producer(scaled[0], "Clip")
    if scaled is None or clip is None:
        return None
    bounds = clip_bounds(clip)
    if bounds is None or bounds[0] != 0 or not math.isclose(bounds[1] * scaled[1], 1, rel_tol=RELATIVE):
        return None
    line = _line(clip.inputs[0])
    if line is None:
        return None
    x, slope, offset = line
    return _write(node, x, slope * scaled[1], offset * scaled[1])


@rule("Clip")
def hard_sigmoid_from_unit_clip(node: ir.Node) -> Outcome:
    """Before: Clip(x * a + b, 0, 1). After: HardSigmoid(x, alpha = a, beta = b)."""
    bounds = clip_bounds(node)
    line = _line(node.inputs[0])
    if bounds != (0.0, 1.0) or line is None:
        return None
    return _write(node, *line)


@rule("Mul")
def hard_swish(node: ir.Node) -> Outcome:
    """Before: x * Clip(x + 3, 0, 6) / 6 in any order of the factors, or x * HardSigmoid(x). After: HardSwish(x)."""
    factors = _factors(node)
    number = math.prod(factor for factor in factors if isinstance(factor, float))
    values = [factor for factor in factors if isinstance(factor, ir.Value)]
    if len(values) != 2:
        return None
    for gate, x in (values, reversed(values)):
        gate_node = own_producer(gate, "Clip", "HardSigmoid")
        if gate_node is not None and _is_swish_gate(gate_node, x, number):
            done = f"{label(node)}: HardSwish recognised"
            substitute(node, "HardSwish", [x])
            return done
    return None


def _is_swish_gate(gate: ir.Node, x: ir.Value, number: float) -> bool:
    """Return whether `number` * `gate` is max(0, min(1, x / 6 + 1 / 2))."""
    if gate.op_type == "HardSigmoid":
        alpha, beta = attribute(gate, "alpha", 0.2), attribute(gate, "beta", 0.5)
        return gate.inputs[0] is x and _near(alpha, SIXTH) and _near(beta, 0.5) and number == 1
    line = _line(gate.inputs[0])
    if line is None or line[0] is not x or not _near(number, SIXTH):
        return False
    return clip_bounds(gate) == (0.0, 6.0) and line[1:] == (1.0, 3.0)


def _factors(node: ir.Node) -> list[ir.Value | float]:
    """Return the factors of `node` and of products that only it reads; constants of one element as numbers."""
    scaled = scalar_operand(node)
    factors: list[ir.Value | float] = [] if scaled is None else [scaled[1]]
    for value in node.inputs if scaled is None else scaled[:1]:
        inner = own_producer(value, "Mul")
        if inner is not None:
            factors.extend(_factors(inner))
        elif value is not None:
            factors.append(value)
    return factors


def _line(value: ir.Value | None) -> tuple[ir.Value, float, float] | None:
    """Return x, a, b for a float value computed as x * a + b or x + b for a single reader, or None."""
    add = own_producer(value, "Add")
    shifted = None if add is None else scalar_operand(add)
    if shifted is None or not is_float(shifted[0]):
        return None
    mul = own_producer(shifted[0], "Mul")
    scaled = None if mul is None else scalar_operand(mul)
    return (shifted[0], 1.0, shifted[1]) if scaled is None else (scaled[0], scaled[1], shifted[1])


def _write(node: ir.Node, x: ir.Value, alpha: float, beta: float) -> Outcome:
    done = f"{label(node)}: HardSigmoid recognised"
    substitute(node, "HardSigmoid", [x], {"alpha": float(alpha), "beta": float(beta)})
    return done


def _near(value: float, wanted: float) -> bool:
    return math.isclose(value, wanted, rel_tol=RELATIVE)
