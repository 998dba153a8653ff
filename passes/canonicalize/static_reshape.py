"""Rewrites Flatten, Squeeze, Unsqueeze and any Reshape as one Reshape to a constant, explicit shape."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, substitute
from edgec.model.graph import add_constant, attribute, constant, label
from edgec.passes.canonicalize.operands import static_shape
from edgec.passes.canonicalize.rule import Outcome, rule


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def static_reshape(node: ir.Node) -> Outcome:
    """Before: Flatten, Squeeze, Unsqueeze, or Reshape with 0, -1 or a computed shape. After: Reshape(x, constant).

    Two in a row become one. Exact; the shape of the result must be known.
    """
    x, output = node.inputs[0], node.outputs[0]
    shape = static_shape(output)
    if x is None or shape is None or 0 in shape:
        return None
    source = _before_reshapes(x)
    written = constant(node.inputs[1]) if node.op_type == "Reshape" else None
    spelled = written is not None and tuple(written.tolist()) == shape and not attribute(node, "allowzero", 0)
    if spelled and source is x:
        return None
    done = f"{label(node)}: {node.op_type} to the constant shape {'x'.join(map(str, shape)) or 'of a scalar'}"
    target = node.inputs[1] if spelled else None
    if target is None:
        target = add_constant(graph_of(node), f"{output.name}_shape", np.array(shape, np.int64))
    substitute(node, "Reshape", [source, target])
    return done


def _before_reshapes(value: ir.Value) -> ir.Value:
    producer = value.producer()
    while producer is not None and producer.domain == "" and producer.op_type == "Reshape":
        if producer.inputs[0] is None:
            break
        value = producer.inputs[0]
        producer = value.producer()
    return value
