"""Follows sizes through the arithmetic that exporters do on shapes: which size stands in which element of a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.passes.bound_sizes.facts import LARGEST_ELEMENTS, Elements, as_elements
from edgec.passes.bound_sizes.site import Site
from edgec.passes.bound_sizes.size import Size, known

Array = np.ndarray[Any, Any]
Evaluate = Callable[[Site], "list[Elements] | None"]

REARRANGERS = frozenset(
    [
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators whose results are elements of their first operand, of a Concat of all."""
UPDATES = {"ScatterElements": 2, "ScatterND": 2}
"""Operators that put elements of a further input among those of the first operand: which input."""
MOVERS = REARRANGERS | UPDATES.keys()
"""Operators that put elements in other places and leave them as they are."""


def elements_of(site: Site) -> list[Elements] | None:
    """Return the sizes that the outputs of the node hold, where they are small and all known, else None."""
    node = site.node
    if node.domain != "":
        return None
    if node.op_type == "Shape":
        return [_listed(site.sizes(0)[slice(site.attribute("start", 0), site.attribute("end"))])]
    if any(_is_large(value) for value in node.inputs):
        return None
    if node.op_type in MOVERS:
        return _moved(site)
    return EVALUATED[node.op_type](site) if node.op_type in EVALUATED else None


def _listed(sizes: Sequence[Size]) -> Elements:
    made = np.empty(len(sizes), object)
    made[:] = sizes
    return made


def _is_large(value: ir.Value | None) -> bool:
    shape = None if value is None else value.shape
    return shape is not None and shape.is_static() and int(np.prod(shape.numpy(), initial=1)) > LARGEST_ELEMENTS


def _moved(site: Site) -> list[Elements] | None:
    """Let numbers that stand for the elements take the way of the elements."""
    node = site.node
    pool: list[Size] = []
    operands: list[Array | None] = []
    for index, value in enumerate(node.inputs):
        elements = None if value is None else site.fact(index).elements
        if elements is None and node.op_type == "Concat":
            elements = site.read_elements(index)
        if value is not None and (elements is None or site.is_padded(index)):
            return None
        numbers = None if elements is None else _numbers(elements)
        if elements is not None and (index == 0 or node.op_type == "Concat" or UPDATES.get(node.op_type) == index):
            numbers = np.arange(len(pool), len(pool) + elements.size).reshape(elements.shape)
            pool.extend(elements.flat)
        if elements is not None and numbers is None:
            return None
        operands.append(numbers)
    moved = _evaluated(site, operands)
    return None if moved is None else [_picked(pool, array) for array in moved]


def _evaluated(site: Site, operands: Sequence[Array | None]) -> list[Array] | None:
    """Return what ONNX's reference evaluator makes of `operands`, or None where it cannot tell."""
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415  (slow to import, and seldom needed)

    proto = ir.to_proto(site.node)
    feeds = {f"input{index}": array for index, array in enumerate(operands) if array is not None}
    proto.input[:] = [f"input{index}" if array is not None else "" for index, array in enumerate(operands)]
    proto.output[:] = [f"output{index}" for index in range(len(proto.output))]
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in feeds]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in proto.output]
    imports = [onnx.helper.make_opsetid("", site.bounding.opset)]
    graph = onnx.helper.make_graph([proto], "node", inputs, outputs)
    try:
        evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports))
        results = evaluator.run(None, feeds)
    except Exception:  # it raises whatever numpy does; what is wrong with the node, others say better
        return None
    return [np.asarray(array) for array in results]


def _picked(pool: list[Size], numbers: Array) -> Elements:
    made = np.empty(numbers.shape, object)
    for index in np.ndindex(numbers.shape):
        made[index] = pool[int(numbers[index])]
    return made


def _numbers(elements: Elements) -> Array | None:
    if any(size.known is None for size in elements.flat):
        return None
    return np.array([size.known for size in elements.flat], np.int64).reshape(elements.shape)


def _operands(site: Site) -> list[Elements] | None:
    found = [site.fact(index).elements for index, value in enumerate(site.node.inputs) if value is not None]
    return None if any(each is None for each in found) else [each for each in found if each is not None]


def _pairwise(combine: Callable[[Site, Size, Size], Size | None]) -> Evaluate:
    """Combine the broadcast operands element by element."""

    def evaluate(site: Site) -> list[Elements] | None:
        operands = _operands(site)
        if operands is None:
            return None
        spread: Sequence[Elements] = np.broadcast_arrays(*operands) if len(operands) > 1 else operands
        made: Elements = np.empty(spread[0].shape, object)
        for index in np.ndindex(*made.shape):
            total: Any = spread[0][index]
            for other in spread[1:]:
                total = None if total is None else combine(site, total, other.item(index))
            if total is None:
                return None
            made[index] = total
        return [made]

    return evaluate


def _divide(site: Site, a: Size, b: Size) -> Size | None:
    if b.known is None or b.known <= 0:
        return None
    kind = site.node.inputs[0].dtype if site.node.inputs[0] is not None else None
    if kind is None or not kind.is_integer():
        return a.divided(b.known)
    return site.sizes_math.floor_divide(a, b.known) if a.least >= 0 else a.divided(b.known)


def _modulo(site: Site, a: Size, b: Size) -> Size | None:
    if b.known is None or b.known <= 0 or a.least < 0:
        return None
    return a - site.sizes_math.floor_divide(a, b.known).times(b.known)


def _product(site: Site, a: Size, b: Size) -> Size | None:
    if site.node.inputs[0] is not None and not dtype_is_integer(site.node.inputs[0]) and None in (a.known, b.known):
        known_one = a.known if a.known is not None else b.known
        return None if known_one is None else site.sizes_math.product(a, b)
    return site.sizes_math.product(a, b)


def dtype_is_integer(value: ir.Value) -> bool:
    """Return whether `value` holds integers."""
    return value.dtype is not None and value.dtype.is_integer()


def _compared(decide: Callable[[Size], bool | None]) -> Evaluate:
    """Comparisons that come out the same whatever the counts are; `decide` is given the difference."""
    return _pairwise(lambda site, a, b: _as_size(decide(a - b)))


def _as_size(truth: bool | None) -> Size | None:
    return None if truth is None else known(int(truth))


def _is_zero(difference: Size) -> bool | None:
    if difference.known is not None:
        return difference.known == 0
    return False if difference.least > 0 or difference.most < 0 else None


def _is_negative(difference: Size) -> bool | None:
    return True if difference.most < 0 else False if difference.least >= 0 else None


def _is_positive(difference: Size) -> bool | None:
    return True if difference.least > 0 else False if difference.most <= 0 else None


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _same(site: Site) -> list[Elements] | None:
    """Casts and roundings leave whole numbers as they are; what becomes a truth value does not."""
    elements, output = site.fact(0).elements, site.node.outputs[0]
    if elements is None:
        return None
    if output.dtype == ir.DataType.BOOL and site.node.op_type == "Cast":
        numbers = _numbers(elements)
        return None if numbers is None else [as_elements((numbers != 0).astype(np.int64))]
    return [elements]


def _negated(site: Site) -> list[Elements] | None:
    elements = site.fact(0).elements
    return None if elements is None else [_picked([size.times(-1) for size in elements.flat], _order(elements))]


def _order(elements: Elements) -> Array:
    return np.arange(elements.size).reshape(elements.shape)


def _reduced(combine: Callable[[Site, Size, Size], Size | None]) -> Evaluate:
    """Reductions over all axes, or over the only one."""

    def evaluate(site: Site) -> list[Elements] | None:
        elements = site.fact(0).elements
        if elements is None or not elements.size or elements.ndim > 1:
            return None
        if site.has(1) and len(site.numbers(1, "axes")) == 0 and site.attribute("noop_with_empty_axes", 0):
            return [elements]
        total: Size | None = elements.flat[0]
        for size in list(elements.flat)[1:]:
            total = None if total is None else combine(site, total, size)
        if total is None:
            return None
        made = np.empty([1] * elements.ndim if site.attribute("keepdims", 1) else [], object)
        made[...] = total
        return [made]

    return evaluate


def _where(site: Site) -> list[Elements] | None:
    operands = _operands(site)
    choice = None if operands is None else _numbers(operands[0])
    if operands is None or choice is None:
        return None
    choice, a, b = np.broadcast_arrays(choice, operands[1], operands[2])
    return [np.where(choice != 0, a, b)]


def _known_only(site: Site) -> list[Elements] | None:
    operands = _operands(site)
    if operands is None:
        return None
    arrays: list[Array | None] = []
    for value, elements in zip(site.node.inputs, operands, strict=True):
        numbers = _numbers(elements)
        if numbers is None or value is None or value.dtype is None:
            return None
        arrays.append(numbers.astype(value.dtype.numpy()))
    results = _evaluated(site, arrays)
    return None if results is None or not all(map(_is_whole, results)) else [as_elements(array) for array in results]


def _is_whole(array: object) -> bool:
    made = np.asarray(array)
    return made.dtype.kind in "biu" or (made.dtype.kind == "f" and bool((made == np.trunc(made)).all()))


def _minimum(site: Site, a: Size, b: Size) -> Size:
    return site.sizes_math.minimum([a, b])


def _maximum(site: Site, a: Size, b: Size) -> Size:
    return site.sizes_math.maximum([a, b])


EVALUATED: dict[str, Evaluate] = {
    "Add": _pairwise(lambda site, a, b: a + b),
    "Sub": _pairwise(lambda site, a, b: a - b),
    "Mul": _pairwise(_product),
    "Div": _pairwise(_divide),
    "Mod": _pairwise(_modulo),
    "Min": _pairwise(_minimum),
    "Max": _pairwise(_maximum),
    "Neg": _negated,
    "Cast": _same,
    "Ceil": _same,
    "Floor": _same,
    "Round": _same,
    "ReduceSum": _reduced(lambda site, a, b: a + b),
    "ReduceProd": _reduced(_product),
    "ReduceMin": _reduced(_minimum),
    "ReduceMax": _reduced(_maximum),
    "Where": _where,
    "Equal": _compared(_is_zero),
    "Greater": _compared(_is_positive),
    "GreaterOrEqual": _compared(lambda difference: _not(_is_negative(difference))),
    "Less": _compared(_is_negative),
    "LessOrEqual": _compared(lambda difference: _not(_is_positive(difference))),
    "And": _known_only,
    "Not": _known_only,
    "Or": _known_only,
    "Range": _known_only,
}
