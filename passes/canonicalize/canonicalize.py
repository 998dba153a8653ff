"""The canonicalization pass: the list of its rules, and the loop that applies them until nothing changes."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from edgec.model.graph import label
from edgec.model.infer import infer_shapes, resolve_all
from edgec.passes.base import Pass, PassReport
from edgec.passes.canonicalize.batch_second import batch_second
from edgec.passes.canonicalize.cleanup import remove_duplicates, tidy
from edgec.passes.canonicalize.constant_compress import constant_compress
from edgec.passes.canonicalize.constants import fold_constants
from edgec.passes.canonicalize.drop_empty import drop_empty
from edgec.passes.canonicalize.expand_sum import expand_sum
from edgec.passes.canonicalize.explicit_windows import explicit_windows
from edgec.passes.canonicalize.fold_affine import fold_affine, fold_affine_forward
from edgec.passes.canonicalize.hard_sigmoid import hard_sigmoid_from_clip, hard_sigmoid_from_unit_clip, hard_swish
from edgec.passes.canonicalize.measure import measure
from edgec.passes.canonicalize.merge_cast import merge_cast
from edgec.passes.canonicalize.merge_pad import merge_pad
from edgec.passes.canonicalize.merge_transpose import merge_transpose, reshape_unit_transpose
from edgec.passes.canonicalize.remove_noop import remove_noop
from edgec.passes.canonicalize.rule import Refused, Rule
from edgec.passes.canonicalize.silu import expand_swish, order_silu
from edgec.passes.canonicalize.simplify_arithmetic import constant_second, constant_sub_div, merge_constants
from edgec.passes.canonicalize.sink_transpose import sink_transpose
from edgec.passes.canonicalize.static_reshape import static_reshape
from edgec.passes.fingerprint import fingerprint

RULES: tuple[Rule, ...] = (
    drop_empty,  # before remove_noop, which would otherwise see an empty scale
    remove_noop,
    merge_cast,
    expand_sum,
    constant_compress,
    batch_second,
    constant_sub_div,  # before all rules for Mul and Add
    constant_second,
    hard_swish,  # before merge_constants, which would merge its 1/6 into a later factor
    hard_sigmoid_from_clip,
    hard_sigmoid_from_unit_clip,
    expand_swish,
    order_silu,
    explicit_windows,  # before merge_pad, which adds to explicit pads
    merge_pad,
    fold_affine,  # before merge_constants: a layer folds scale and shift one by one
    fold_affine_forward,
    merge_constants,
    merge_transpose,
    reshape_unit_transpose,
    sink_transpose,
    static_reshape,
)


class Canonicalize(Pass):
    """Apply `RULES`, constant folding and clean-up until nothing changes; then names are unique and shapes inferred.

    For a model of opset 18 or newer with static inputs, the result has no Constant nodes, no node that depends only on
    constants, no computed shapes, and only Mul and Add for arithmetic with constants.
    """

    name = "canonicalize"
    tolerance = 1e-5

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Canonicalize `model` in place. Rounds continue while `measure` falls, so that they end."""
        before = fingerprint(model)
        nodes_before = Counter(node.op_type for node in model.graph)
        infer_shapes(model)
        changes: list[str] = []
        size = measure(model)
        while True:
            done, left = resolve_all(model)
            fold_constants(model)
            more, refusals = apply_rules(model.graph, RULES)
            remove_duplicates(model)
            changes.extend([*done, *more])
            size, last = measure(model), size
            if size >= last:
                break
        refusals.extend(left)
        if done or more:
            refusals.append(
                (self.name, f"stopped before the graph reached a fixed point, at: {'; '.join([*done, *more][:5])}")
            )
        tidy(model)
        infer_shapes(model)
        nodes_after = Counter(node.op_type for node in model.graph)
        if nodes_before != nodes_after:
            changes.append(f"{nodes_before.total()} nodes became {nodes_after.total()}")
        return PassReport(model, fingerprint(model) != before, tuple(changes), tuple(refusals))


def apply_rules(graph: ir.Graph, rules: tuple[Rule, ...] = RULES) -> tuple[list[str], list[tuple[str, str]]]:
    """Apply `rules` to every node of `graph` and its subgraphs, once; return the changes and the refusals."""
    done: list[str] = []
    refused: list[tuple[str, str]] = []
    by_op: dict[str, list[Rule]] = {}
    for each in rules:
        for op_type in each.ops:
            by_op.setdefault(op_type, []).append(each)
    for node in list(graph.all_nodes()):
        if node.domain != "":
            continue
        for each in by_op.get(node.op_type, ()):
            if node.graph is None:  # an earlier rule has replaced it
                break
            outcome = each.apply(node)
            if isinstance(outcome, Refused):
                refused.append((label(node), outcome.reason))
            elif outcome is not None:
                done.append(outcome)
    return done, refused
