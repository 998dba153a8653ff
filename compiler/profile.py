"""What a target states about itself, so that the graph passes can serve it without knowing its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgec.model.cost import LayerCost

Feeds = Mapping[str, np.ndarray[Any, Any]]


class Estimate(Protocol):
    """Estimates how long the layers of a network take on one board; good for comparing networks, not for promises."""

    def __call__(
        self, layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()
    ) -> tuple[float, ...]:
        """Return the seconds of one inference through each of `layers`.

        Args:
            layers: All layers of the network, in order.
            precision: Precision in which they run.
            in_float: Names of layers that run in fp32 nevertheless.
        """


@dataclass(frozen=True)
class Arithmetic:
    """How a board computes in one precision, as needed to compare its results with those of a reference.

    Attributes:
        tolerance: Accepted error of an output, relative to its range, if the reference itself has less noise.
        rounding: Error of a sum, as a fraction of its root mean square; see `edgec.reference.noise.perturbed`.
        reference: Returns the network whose results in ONNX Runtime equal the board's; None: the network itself.
        exact: Whether the results equal those of `reference` up to the order of sums, or only approximately.
        layer: Accepted root mean square error of a single layer, relative to the standard deviation of its results; by
            default `tolerance`.
    """

    tolerance: float
    rounding: float = 2e-7
    reference: Callable[[ir.Model], ir.Model] | None = None
    exact: bool = False
    layer: float | None = None


@dataclass(frozen=True, eq=False)
class Emulation:
    """A network in a lower precision, written so that ONNX Runtime computes about what the board does.

    Attributes:
        model: Rounds values and weights where the board does; in float.
        in_float: Names of the layers that stay in single precision.
    """

    model: ir.Model
    in_float: frozenset[str]


ARITHMETIC = {"fp32": Arithmetic(1e-4), "fp16": Arithmetic(2e-2), "int8": Arithmetic(1e-1)}


@dataclass(frozen=True)
class Profile:
    """Properties of one board; `Target.profile` returns it, passes and compression read it."""

    precisions: tuple[str, ...] = ("fp32",)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reason why a precision is not among `precisions`, if there is more to say."""
    channel_multiple: int = 1
    """Channel counts that are a multiple of this run fast (vector width, tensor-core tile)."""
    operators: Collection[str] | None = None
    """Operators of the standard domain that the back end supports, after its own rewrites; None: any. All others are
    expanded by their definition, if they have one."""
    bounded_sizes: bool = False
    """Whether the back end has the operators of `edgec.model.bounded`, in which networks with data-dependent sizes are
    written; without them such networks are refused."""
    quantization_style: Literal["runtime", "tensorrt"] = "runtime"
    """Form of quantized networks: integer weights and zero points, or TensorRT's (symmetric, float weights)."""
    weight_bits: int = 8
    """Width in bits of quantized weights that the integer kernels run at full speed; they support 8 in any case."""
    dynamic_batch: bool = False
    """Whether the batch size may vary from inference to inference."""
    built_on_board: bool = False
    """Whether an artefact has to be built on the board before it is complete, as `edgec deploy` does."""
    tunable: bool = False
    """Whether the back end uses schedules that `edgec tune` chose."""
    estimate: Estimate | None = None
    """Estimates the time of each layer; None: no estimate exists, so multiply-accumulates are counted instead."""
    in_half: Callable[[ir.Model, Iterable[Feeds]], Emulation] | None = None
    """Emulates a network in fp16 as the board is to run it, for inputs like the samples; None: nothing emulates it."""
    arithmetic: Mapping[str, Arithmetic] = field(default_factory=lambda: ARITHMETIC)
    """Arithmetic of each precision; by default, results of fp16 and int8 approximate those of fp32."""
