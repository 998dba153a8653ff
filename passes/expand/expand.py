"""Expands operators that a target lacks into those that define them: by ONNX's definition, or by edgec's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgec.model.graph import opset
from edgec.model.infer import infer_shapes
from edgec.passes.base import Pass, PassReport
from edgec.passes.expand.einsum import expand_einsum
from edgec.passes.expand.functions import definition_of, is_expressible
from edgec.passes.expand.quantized import expand_qlinear_conv, expand_qlinear_matmul
from edgec.passes.expand.signal import expand_dft, expand_stft
from edgec.profile import Profile

EXPANSIONS: dict[str, Callable[[ir.Node], bool]] = {
    "DFT": expand_dft,
    "Einsum": expand_einsum,
    "QLinearConv": expand_qlinear_conv,
    "QLinearMatMul": expand_qlinear_matmul,
    "STFT": expand_stft,
}
"""Operators without a definition in ONNX: each function expands a node in place, or returns False and leaves it."""

FOLDED = frozenset({"Constant", "ConstantOfShape", "Range", "Shape", "Size"})
"""Operators that constant folding removes if shapes are static."""
DEEPEST = 8
"""Maximum depth of definitions within definitions."""
DOMAIN = "edgec.definitions"


class ExpandOperators(Pass):
    """Expand every operator that is not in `profile.operators`, if it is defined in terms of those."""

    name = "expand_operators"
    tolerance = 1e-5

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__(profile)
        self.operators = frozenset(self.profile.operators or ())

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Expand operators of `model` (static shapes) in place; an operator that cannot be expanded stays."""
        expanded: Counter[str] = Counter()
        if self.profile.operators is None or all(node.op_type in self.operators for node in model.graph.all_nodes()):
            return PassReport(model, False)
        infer_shapes(model)  # definitions may depend on element types and ranks
        for _ in range(DEEPEST):
            done = self._expand(model)
            if not done:
                break
            expanded.update(done)
            infer_shapes(model)
        times = {name: f"{name} ({count} times)" if count > 1 else name for name, count in expanded.items()}
        changes = tuple(f"{times[name]} expanded into simpler operators" for name in sorted(times))
        return PassReport(model, bool(expanded), changes)

    def _expand(self, model: ir.Model) -> list[str]:
        done = []
        for node in list(model.graph.all_nodes()):
            if node.domain != "" or node.op_type in self.operators or node.graph is None:
                continue
            name, expand = node.op_type, EXPANSIONS.get(node.op_type)
            if expand(node) if expand is not None else self._call(model, node):
                done.append(name)
        if model.functions:
            InlinePass()(model)
        return done

    def _call(self, model: ir.Model, node: ir.Node) -> bool:
        """Turn `node` into a call of its definition, which is added to the functions of `model`, if there is one."""
        version = opset(model)
        function = definition_of(node, version)
        known = self.operators | FOLDED | EXPANSIONS.keys()
        if function is None or not all(is_expressible(inner.op_type, version, known) for inner in function):
            return False
        function.domain, function.name = DOMAIN, f"{node.op_type}_{len(model.functions)}"
        function.opset_imports.clear()
        function.opset_imports[""] = version
        model.functions[function.identifier()] = function
        node.domain, node.op_type, node.overload = DOMAIN, function.name, ""
        return True
