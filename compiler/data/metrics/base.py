"""`Metric`: receives the outputs for each sample once, then returns its value."""

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
    """A metric's value, whether higher is better, and its parts by name (numbers, or by class; JSON can store them)."""

    value: float
    higher_is_better: bool
    details: dict[str, Any] = field(default_factory=dict)

    def loss_against(self, original: MetricResult) -> float:
        """Return how much worse this is than `original`, in the metric's units; negative if it is better."""
        return original.value - self.value if self.higher_is_better else self.value - original.value


@dataclass(frozen=True)
class MetricContext:
    """What a metric may need besides outputs and samples.

    Attributes:
        decoder: Decodes the network's outputs; None: the metric's own default.
        classes: Names of the data's classes, by class index.
        recognized: Whether the decoder was recognised, not given: then a metric's own decoder takes precedence.
        reference: Returns the outputs of the original model for a sample; only metrics without labels need it.
    """

    decoder: Decoder | None = None
    classes: tuple[str, ...] = ()
    reference: Callable[[Sample], Outputs] | None = None
    recognized: bool = False

    def compared_with(self, reference: Callable[[Sample], Outputs]) -> MetricContext:
        """Return a copy with the original model's outputs."""
        return replace(self, reference=reference)


class Metric(Protocol):
    """Streaming metric: it needs constant or little memory, and sees each sample once, in any order.

    A plugin registers, in the entry point group `edgec.metrics`, a callable (such as a class) that makes one from a
    `MetricContext`.
    """

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the outputs (name -> array) of the network for `sample`."""

    def result(self) -> MetricResult:
        """Return the metric over all samples so far.

        Raises:
            BadOption: There were no samples, or none for which it is defined.
        """


def make_metric(name: str, context: MetricContext = MetricContext()) -> Metric:
    """Return a new metric.

    Args:
        name: Registered name (`registry.names("metrics")`), or `module:attribute`.
        context: What the metric may need.

    Raises:
        BadOption: There is no such metric, or it needs something that `context` lacks.
    """
    metric: Metric = registry.load("metrics", name)(context)
    return metric


def require_decoder(context: MetricContext, kind: Kind, default: Decoder | None, metric: str) -> Decoder:
    """Return the context's decoder, or the default one.

    Raises:
        BadOption: There is none, or its results are not of this kind.
    """
    decoder = context.decoder or default
    if context.recognized and default is not None and decoder is not None and decoder.kind != kind:
        decoder = default
    if decoder is None:
        raise BadOption(f"metric {metric} needs a decoder that returns {kind}", remedy="Give one by --decoder.")
    if decoder.kind != kind and not (kind == "detections" and decoder.kind in WITH_BOXES):
        name = type(decoder).__name__.lower()
        problem = f"metric {metric} needs {kind}, but decoder {name} returns {decoder.kind}"
        raise BadOption(problem, remedy="Change one of them.")
    return decoder


def require_label(sample: Sample, kind: type[LabelT], metric: str) -> LabelT:
    """Return the sample's label.

    Raises:
        BadOption: It has no label, or one of another kind.
    """
    if sample.label is None:
        remedy = "Give labelled data, or use the metric output-error, which needs no labels."
        raise BadOption(f"metric {metric}: {sample.name} has no label", remedy=remedy)
    if not isinstance(sample.label, kind):
        got, want = type(sample.label).__name__, kind.__name__
        problem = f"metric {metric}: the label of {sample.name} is {got}, not {want}"
        raise BadOption(problem, remedy="Change the data or the metric.")
    return sample.label


class Classes:
    """The classes with the network's numbers, and their names, for metrics that report by class."""

    def __init__(self, context: MetricContext, decoder: Decoder) -> None:
        self._numbers = network_classes(context.classes, decoder.classes)
        self._names: Sequence[str] = decoder.classes or context.classes

    def number(self, label: Any, sample: Sample) -> Array:
        """Return the network's numbers for classes of the data (integers of any shape) in the label of `sample`.

        Raises:
            BadOption: A number is negative, or the data has no name for it.
        """
        numbers = np.asarray(label, np.int64)
        wrong = numbers[(numbers < 0) | (numbers >= (np.inf if self._numbers is None else len(self._numbers)))]
        if wrong.size:
            count = "" if self._numbers is None else f", but the data has {len(self._numbers)} class names"
            remedy = "Number classes from 0, in the order of their names."
            raise BadOption(f"the label of {sample.name} is of class {wrong[0]}{count}", remedy=remedy)
        return numbers if self._numbers is None else self._numbers[numbers]

    def name(self, number: int) -> str:
        """Return the name of a class of the network, or its number as text."""
        return self._names[number] if number < len(self._names) else str(number)


def refuse_empty(samples: int, metric: str) -> None:
    """Raise an error if there were no samples.

    Raises:
        BadOption: `samples` is 0.
    """
    if samples == 0:
        raise BadOption(f"metric {metric} saw no samples", remedy="Give data with at least one sample.")
