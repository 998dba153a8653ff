"""A graph that grows node by node; ONNX Runtime runs each node on a sample, and says by that whether it is valid."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgec.reference.onnx_runtime import ort
from edgec.reference.session import EXACT_INTEGERS

Array = np.ndarray[Any, Any]
Pick = Callable[[int, int], int]
T = TypeVar("T")

LARGEST = 50.0
"""Magnitude beyond which values would drown the rounding of others."""
MOST_ELEMENTS = 6000
IR_VERSIONS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
QUIET = 4
PREFERRED_WEIGHT_SHARE = 4


class Unfit(Exception):
    """The node that was tried is not valid, or its result is of no use; the graph is as before."""


@dataclass(frozen=True)
class Value:
    """A value: what it is in the sample, and whether it is the same bits in any right program.

    Results that round (sums, products) are not `exact`: a comparison, a rounding or a ranking of them may turn out
    differently in two right programs.
    """

    name: str
    sample: Array
    exact: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sample.shape

    @property
    def dtype(self) -> str:
        return str(self.sample.dtype)


class Graph:
    """Draws nodes by `pick`, a function from an inclusive range to one of its integers.

    Args:
        pick: Decides everything: given by hypothesis, or by a seed.
        opset: Version of the operators; nodes are written as that version wants them.
    """

    def __init__(self, pick: Pick, opset: int) -> None:
        self.pick, self.opset = pick, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.inputs: list[Value] = []
        self.values: list[Value] = []
        self.rng = np.random.default_rng(pick(0, 2**16))

    def choice(self, options: Sequence[T]) -> T:
        return options[self.pick(0, len(options) - 1)]

    def chance(self, of: int) -> bool:
        """Whether the rarer of two things happens, once in `of` times."""
        return self.pick(0, of - 1) == of - 1

    def input(self, shape: Sequence[int], dtype: str = "float32") -> Value:
        """Add an input of the graph."""
        value = Value(f"x{len(self.inputs)}", self._input_sample(shape, dtype), True)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def _input_sample(self, shape: Sequence[int], dtype: str) -> Array:
        if dtype == "bool":
            return self.rng.integers(0, 2, shape).astype(bool)
        if dtype.startswith(("int", "uint")):
            return self.rng.integers(0, 10, shape).astype(dtype)
        return self.rng.uniform(0, 1, shape).astype(dtype)

    def constant(self, array: Any, dtype: str | None = None) -> str:
        """Return the name of a constant: an initializer, or now and then what a Constant node gives."""
        array = np.asarray(array, dtype)
        for name, other in self.constants.items():
            same = other.dtype == array.dtype and other.shape == array.shape and np.array_equal(other, array)
            if same and self.chance(2):
                return name
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def ints(self, *values: int) -> str:
        """Return a vector of int64."""
        return self.constant(np.array(values, np.int64))

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0, dtype: str = "float32") -> str:
        """Return a random constant; now and then one that another node reads too."""
        fit = [
            name
            for name, array in self.constants.items()
            if str(array.dtype) == dtype and array.shape == shape and (not array.size or low <= array.min())
        ]
        if fit and self.chance(PREFERRED_WEIGHT_SHARE):
            return self.choice(fit)
        name = f"c{len(self.constants)}"
        self.constants[name] = self.rng.uniform(low, high, shape).astype(dtype)
        return name

    def filters(self, *shape: int) -> str:
        """Return weights of a layer, small enough for the sums they enter to stay near 1."""
        spread = (3.0 / max(1, int(np.prod(shape[1:])))) ** 0.5
        return self.weight(*shape, low=-spread, high=spread)

    def some(self, fits: Callable[[Value], bool]) -> Value:
        """Return a value that `fits`, the latest more often than others."""
        found = [value for value in self.values if fits(value)]
        if not found:
            raise Unfit
        return found[-1] if self.pick(0, 2) else self.choice(found)

    def like(self, value: Value) -> list[Value]:
        """Return the values of the same shape and type, itself among them."""
        return [other for other in self.values if other.shape == value.shape and other.dtype == value.dtype]

    def add(
        self,
        op: str,
        inputs: Sequence[Value | str],
        *,
        outputs: int = 1,
        exact: bool = False,
        keep: bool = True,
        reads: Sequence[Value] = (),
        **attributes: Any,
    ) -> Value:
        """Append a node and return its first output.

        Args:
            op: Operator.
            inputs: Values, names of constants, or "" for one left out.
            outputs: How many outputs the node has.
            exact: The node does not round: its outputs are as exact as its inputs.
            keep: Other nodes may read the outputs too; else they belong to the block that is being built.
            reads: Values that a subgraph among the attributes reads.
            attributes: Of the node.

        Raises:
            Unfit: ONNX Runtime refuses the node, or the sample leaves what values should be.
        """
        names = [each.name if isinstance(each, Value) else each for each in inputs]
        stem = f"v{len(self.nodes)}"
        written = [stem] + [f"{stem}_{index}" for index in range(1, outputs)]
        label = "" if self.chance(12) else f"{op}_{len(self.nodes)}"
        node = helper.make_node(op, names, written, name=label, **attributes)
        given = [each for each in (*inputs, *reads) if isinstance(each, Value)]
        arrays = self._run(node, given)
        parents_exact = all(each.exact for each in given)
        made = []
        for name, array in zip(written, arrays, strict=True):
            self._check(array)
            whole = exact and (parents_exact or array.dtype.kind in "biu")
            made.append(Value(name, array, whole))
        self.nodes.append(node)
        self.values.extend(made if keep else ())
        return made[0]

    def outputs_of(self, first: Value) -> list[Value]:
        """Return all outputs of the node whose first is `first`."""
        return [value for value in self.values if value.name == first.name or value.name.startswith(f"{first.name}_")]

    def _run(self, node: onnx.NodeProto, given: Sequence[Value]) -> list[Array]:
        samples = {value.name: value.sample for value in given}
        infos = [value_info(name, array) for name, array in samples.items()]
        constants = [
            numpy_helper.from_array(self.constants[name], name)
            for name in dict.fromkeys(node.input)
            if name in self.constants
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = helper.make_graph([node], "one", infos, outputs, constants)
        try:
            return [np.asarray(array) for array in run_model(self._model(graph), samples)]
        except Exception as error:  # ONNX Runtime raises whatever it likes
            raise Unfit(str(error)) from error

    def _check(self, array: Array) -> None:
        if array.dtype.kind not in "fbiu" or array.size > MOST_ELEMENTS or array.size == 0 or array.ndim > 6:
            raise Unfit
        if array.dtype.kind == "f" and not (np.isfinite(array).all() and np.abs(array).max(initial=0) <= LARGEST):
            raise Unfit

    def _model(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        version = IR_VERSIONS.get(self.opset, 7)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=version)

    def model(self, outputs: Sequence[Value], *, bare: bool = False) -> onnx.ModelProto:
        """Return the graph; `bare` outputs say neither type nor shape."""
        constants, nodes, read = [], [], {name for node in self.nodes for name in node.input}
        for name, array in self.constants.items():
            if name not in read:
                continue
            tensor = numpy_helper.from_array(array, name)
            if self.chance(5):
                nodes.append(helper.make_node("Constant", [], [name], value=tensor))
            else:
                constants.append(tensor)
        infos = [
            onnx.ValueInfoProto(name=each.name) if bare else value_info(each.name, each.sample) for each in outputs
        ]
        inputs = [value_info(each.name, each.sample) for each in self.inputs]
        return self._model(helper.make_graph([*nodes, *self.nodes], "random", inputs, infos, constants))


ort.set_default_logger_severity(QUIET)


def value_info(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def run_model(model: onnx.ModelProto, feeds: dict[str, Array], *, optimize: bool = False) -> list[Array]:
    """Return the outputs of ONNX Runtime, one thread."""
    options = ort.SessionOptions()
    for key, value in EXACT_INTEGERS.items():
        options.add_session_config_entry(key, value)
    options.log_severity_level, options.intra_op_num_threads, options.inter_op_num_threads = QUIET, 1, 1
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def by_seed(seed: int) -> Pick:
    """Return a `pick` that a seed decides, the same with every version of Python."""
    return random.Random(seed).randint


FLOAT, DOUBLE, INT64, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL
