"""`Metric`: sees the outputs of each sample once, then says how good they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from edgec import registry
from edgec.data.classes import network_classes
from edgec.data.decoders.base import WITH_BOXES, Decoder, Kind
from edgec.data.samples import Sample
from edgec.errors import BadOption

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]
LabelT = TypeVar("LabelT")


@dataclass(frozen=True)
class MetricResult:
    """A metric's value, which direction is better, and parts of it by name (numbers, or by class; fit for JSON)."""

    value: float
    higher_is_better: bool
    details: dict[str, Any] = field(default_factory=dict)

    def loss_against(self, original: MetricResult) -> float:
        """Return by how much this is worse than `original`, in the metric's units; negative if it is better."""
        return original.value - self.value if self.higher_is_better else self.value - original.value


@dataclass(frozen=True)
class MetricContext:
    """What a metric may need besides outputs and samples.

    Attributes:
        decoder: Reads the network's outputs; None: the metric's own default.
        classes: Names of the data's classes, index = class.
        recognized: The decoder was recognised, not given: it gives way to a metric's own.
        reference: Gives the outputs of the original model for a sample; only metrics without labels need it.
    """

    decoder: Decoder | None = None
    classes: tuple[str, ...] = ()
    reference: Callable[[Sample], Outputs] | None = None
    recognized: bool = False

    def compared_with(self, reference: Callable[[Sample], Outputs]) -> MetricContext:
        """Return it with the original model's outputs."""
        return replace(self, reference=reference)


class Metric(Protocol):
    """Streaming: constant or small memory, each sample once, in any order.

    A plugin registers, in the entry point group `edgec.metrics`, what makes one from a `MetricContext`: a class, say.
    """

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Take in the outputs (name -> array) of the network fed with `sample`."""

    def result(self) -> MetricResult:
        """Return the metric over all samples so far.

        Raises:
            BadOption: There were none, or none that it is defined for.
        """


def make_metric(name: str, context: MetricContext = MetricContext()) -> Metric:
    """Return a fresh metric.

    Args:
        name: As registered (`registry.names("metrics")`), or `module:attribute` of the user's own.
        context: What it may need.

    Raises:
        BadOption: There is no such metric, or it needs something that `context` lacks.
    """
    metric: Metric = registry.load("metrics", name)(context)
    return metric


def require_decoder(context: MetricContext, kind: Kind, default: Decoder | None, metric: str) -> Decoder:
    """Return the context's decoder, or the default one.

    Raises:
        BadOption: There is none, or it gives something else than `kind`.
    """
    decoder = context.decoder or default
    if context.recognized and default is not None and decoder is not None and decoder.kind != kind:
        decoder = default
    if decoder is None:
        raise BadOption(f"metric {metric} needs a decoder that gives {kind}", remedy="Give one by --decoder.")
    if decoder.kind != kind and not (kind == "detections" and decoder.kind in WITH_BOXES):
        name = type(decoder).__name__.lower()
        raise BadOption(f"metric {metric} needs {kind}, decoder {name} gives {decoder.kind}", remedy="Change one.")
    return decoder


def require_label(sample: Sample, kind: type[LabelT], metric: str) -> LabelT:
    """Return the sample's label.

    Raises:
        BadOption: It has none, or one of another kind.
    """
    if sample.label is None:
        remedy = "Give labelled data, or use the metric output-error, which needs none."
        raise BadOption(f"metric {metric}: {sample.name} has no label", remedy=remedy)
    if not isinstance(sample.label, kind):
        got, want = type(sample.label).__name__, kind.__name__
        raise BadOption(f"metric {metric}: the label of {sample.name} is {got}, not {want}", remedy="Change one.")
    return sample.label


class Classes:
    """The classes as the network numbers them, and their names, for metrics that report by class."""

    def __init__(self, context: MetricContext, decoder: Decoder) -> None:
        self._numbers = network_classes(context.classes, decoder.classes)
        self._names: Sequence[str] = decoder.classes or context.classes

    def number(self, label: Any, sample: Sample) -> Array:
        """Return the network's numbers for classes of the data (integers of any shape), the label of `sample`.

        Raises:
            BadOption: One is negative, or beyond the names of the data's classes.
        """
        numbers = np.asarray(label, np.int64)
        wrong = numbers[(numbers < 0) | (numbers >= (np.inf if self._numbers is None else len(self._numbers)))]
        if wrong.size:
            count = "" if self._numbers is None else f", the data names {len(self._numbers)}"
            remedy = "Classes are numbered from 0, in the order of their names."
            raise BadOption(f"the label of {sample.name} is of class {wrong[0]}{count}", remedy=remedy)
        return numbers if self._numbers is None else self._numbers[numbers]

    def name(self, number: int) -> str:
        """Return the name of a class of the network, or its number as text."""
        return self._names[number] if number < len(self._names) else str(number)


def refuse_empty(samples: int, metric: str) -> None:
    """Refuse a result over nothing.

    Raises:
        BadOption: `samples` is 0.
    """
    if samples == 0:
        raise BadOption(f"metric {metric} saw no samples", remedy="Give data with at least one sample.")
