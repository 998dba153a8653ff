"""What a target states about itself so that the graph passes can serve it without knowing it by name."""

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
    """How long the layers of a network take on one board: good for comparing networks, not for promises."""

    def __call__(
        self, layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()
    ) -> tuple[float, ...]:
        """Return the seconds of one inference through each of `layers`.

        Args:
            layers: All layers of the network, in order.
            precision: What they run in.
            in_float: Names of layers that run in fp32 all the same.
        """


@dataclass(frozen=True)
class Arithmetic:
    """How a board computes in one precision, as far as its results are to be compared with a reference's.

    Attributes:
        tolerance: Accepted error of an output, relative to its range, where the reference's own noise is less.
        rounding: Share of its root mean square by which a sum may be off, see `edgec.reference.noise.perturbed`.
        reference: Returns of a network the one whose results in ONNX Runtime are the board's; None: the network itself.
        exact: Whether the results are those of `reference` up to the order of sums, or only about so.
    """

    tolerance: float
    rounding: float = 2e-7
    reference: Callable[[ir.Model], ir.Model] | None = None
    exact: bool = False


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
    """Needs of one board; given by `Target.profile`, read by passes and by compression."""

    precisions: tuple[str, ...] = ("fp32",)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a precision is not among `precisions`, where there is more to say than that."""
    channel_multiple: int = 1
    """Widths that are a multiple of this are fast (vector width, tensor-core tile)."""
    operators: Collection[str] | None = None
    """Operators of the standard domain that the back end takes, after rewrites of its own; None: any. Others are
    written as those they are made of, where they have a definition."""
    bounded_sizes: bool = False
    """Whether the back end has the operators of `edgec.model.bounded`, in which networks are written whose sizes depend
    on the data; they are refused otherwise."""
    quantization_style: Literal["runtime", "tensorrt"] = "runtime"
    """Form of quantized networks: integer weights and zero points, or TensorRT's (symmetric, float weights)."""
    weight_bits: int = 8
    """Width of quantized weights that the integer kernels take at full speed; they take 8 in any case."""
    dynamic_batch: bool = False
    """Whether the batch may vary from inference to inference."""
    built_on_board: bool = False
    """Whether artefacts are not complete before something is built on the board, as `edgec deploy` does."""
    tunable: bool = False
    """Whether schedules that `edgec tune` chose are taken."""
    estimate: Estimate | None = None
    """Time of each layer; None: nothing is known, multiply-accumulates are counted instead."""
    in_half: Callable[[ir.Model, Iterable[Feeds]], Emulation] | None = None
    """Emulates a network in fp16 as the board is to run it, for inputs like the samples; None: nothing emulates it."""
    arithmetic: Mapping[str, Arithmetic] = field(default_factory=lambda: ARITHMETIC)
    """By precision; results of fp16 and int8 are those of fp32, more or less, unless it says otherwise."""
