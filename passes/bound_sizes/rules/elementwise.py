"""Element-wise operators: padding stays padding."""

from __future__ import annotations

from edgec.model.traits import ELEMENTWISE, UNARY
from edgec.passes.bound_sizes.broadcast import broadcast
from edgec.passes.bound_sizes.facts import Fact
from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.site import Site, dtype_of

FIRST_ONLY = ["CastLike", "Clip", "Dropout", "DequantizeLinear", "QuantizeLinear"]
"""Their other inputs are single numbers or, for the last two, lie along an axis that is not padded."""
DIVISIONS = ("Div", "Mod")
PADDED_WITH_ZEROS = frozenset({"Cast", "Identity", "Abs", "Neg", "Relu", "Sign", "Ceil", "Floor", "Round"})
"""They keep zeros."""


def unary(site: Site) -> None:
    """Leave the node: its result on padding is padding."""
    fact = site.fact(0)
    clean = fact.clean and site.node.op_type in PADDED_WITH_ZEROS
    result = Fact(fact.sizes, clean=clean)
    site.keep(*[(site.bounds(0), result)] * len(site.node.outputs))


def binary(site: Site) -> None:
    """Bring the operands to axes of the same length."""
    present = [index for index, value in enumerate(site.node.inputs) if value is not None]
    aligned = broadcast(site, [site.value(index) for index in present])
    for index, value in zip(present, aligned.values, strict=True):
        site.set_input(index, value)
    if site.node.op_type in DIVISIONS and dtype_of(site.value(0)).is_integer() and site.is_padded(1):
        # Integer division by zero ends the program, also in the padding.
        site.set_input(1, site.filled(site.value(1), site.sizes(1), site.padded_axes(1), 1))
    site.keep((aligned.bounds, Fact(aligned.sizes)))


RULES: dict[str, Rule] = {
    **dict.fromkeys([*UNARY, "Swish", *FIRST_ONLY], unary),
    **dict.fromkeys([*ELEMENTWISE, "BitShift"], binary),
}
