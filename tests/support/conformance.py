"""The operator tests that come with `onnx`, as models of static shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.case.node import collect_testcases

from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes


def static_models(wanted: Callable[[Any], bool] = lambda case: True) -> Iterator[tuple[Any, ir.Model]]:
    """Yield each test with a model and its model, small inputs but the first, such as axes, made constant.

    Left out are function bodies, inputs that are no arrays, and sizes that depend on the data.
    """
    for case in collect_testcases(None):
        if case.model is None or case.name.endswith("_expanded") or not wanted(case):
            continue
        arrays = case.data_sets[0][0]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            continue
        proto = onnx.ModelProto()
        proto.CopyFrom(case.model)
        fixed = {value.name: array for value, array in zip(proto.graph.input, arrays, strict=True) if array.ndim < 2}
        if proto.graph.input:
            fixed.pop(proto.graph.input[0].name, None)
        for index in reversed(range(len(proto.graph.input))):
            if (name := proto.graph.input[index].name) in fixed:
                proto.graph.initializer.append(onnx.numpy_helper.from_array(fixed[name], name))
                del proto.graph.input[index]
        try:
            model = fix_shapes(load(proto).model, {})
        except EdgecError:
            continue
        yield case, model
