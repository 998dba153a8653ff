"""`inspect`: inputs and outputs of a model, its layers with their cost, and their estimated time on a board."""

from __future__ import annotations

from dataclasses import dataclass

from edgec.api.opened import Shapes, open_target
from edgec.errors import BadOption
from edgec.model.cost import LayerCost, OpenLayer, layer_costs, open_layers
from edgec.model.infer import infer_shapes
from edgec.model.load import Source, load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import TensorSpec, inputs_of, outputs_of, with_symbols


@dataclass(frozen=True, repr=False)
class Inspection:
    """Contents of a model.

    Attributes:
        name: The file's stem, or a name derived from the graph's.
        sha256: Digest of the file and its external data.
        opset: Version of the standard operators; None if the model gives none.
        inputs: Name, shape and element type of each input.
        outputs: The same of each output.
        layers: Cost of each node that computes at run time.
        seconds: Estimated time of each layer on the given board; None without a board.
    """

    name: str
    sha256: str
    opset: int | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[LayerCost, ...]
    seconds: tuple[float, ...] | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return sum(layer.parameters for layer in self.layers)

    def __repr__(self) -> str:
        time = "" if self.seconds is None else f", estimated time {1e3 * sum(self.seconds):.3g} ms"
        work = f"{self.macs:,} MACs, {self.parameters:,} parameters"
        return f"<Inspection: {self.name}, opset {self.opset}, {len(self.layers)} layers, {work}{time}>"


@dataclass(frozen=True)
class OpenInspection:
    """Contents of a model some of whose inputs have no size: open sizes have the model's names, and nothing has MACs.

    Attributes:
        name: The file's stem, or a name derived from the graph's.
        sha256: Digest of the file and its external data.
        opset: Version of the standard operators; None if the model gives none.
        inputs: Name, element type and shape of each input, as text.
        outputs: The same of each output.
        layers: Each node that computes at run time.
    """

    name: str
    sha256: str
    opset: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[OpenLayer, ...]


def inspect_open(model: Source) -> OpenInspection:
    """Return the contents of `model` without fixing its shapes, as far as they do not depend on them.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).

    Raises:
        EdgecError: The model cannot be read.
    """
    loaded = load(model)
    opened = loaded.model.clone()
    infer_shapes(opened)
    graph, opset = opened.graph, opened.opset_imports.get("")
    inputs = tuple(with_symbols(value) for value in graph.inputs if value.name not in graph.initializers)
    outputs = tuple(map(with_symbols, graph.outputs))
    return OpenInspection(loaded.name, loaded.sha256, opset, inputs, outputs, open_layers(opened))


def inspect(
    model: Source, *, shapes: Shapes | None = None, target: str | None = None, precision: str = "fp32"
) -> Inspection:
    """Return the contents of `model`.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        shapes: Shapes of inputs that the model leaves open.
        target: Board for which times are estimated; None: no times are estimated.
        precision: Precision for which times are estimated.

    Raises:
        EdgecError: The model cannot be read, a shape is missing, or the board has no estimate or no such precision.
    """
    loaded = load(model)
    fixed = fix_shapes(loaded.model, dict(shapes or {}))
    layers = layer_costs(fixed)
    seconds = None if target is None else _seconds(layers, target, precision)
    opset = fixed.opset_imports.get("")
    return Inspection(loaded.name, loaded.sha256, opset, inputs_of(fixed), outputs_of(fixed), layers, seconds)


def _seconds(layers: tuple[LayerCost, ...], target: str, precision: str) -> tuple[float, ...]:
    board, _, profile = open_target(target)
    if precision not in profile.precisions:
        problem = f"{board.name} does not support precision {precision}"
        raise BadOption(problem, remedy=f"It has: {', '.join(profile.precisions)}.")
    if profile.estimate is None:
        raise BadOption(f"edgec has no time estimate for {board.name}", remedy="Give another --target, or none.")
    return tuple(profile.estimate(layers, precision))
