"""`settle`: determines the meaning of a network's outputs from the user's settings, or else from the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgec.application.class_names import read_classes
from edgec.application.predictor import check_fit
from edgec.application.recognition.head import Head, Hint
from edgec.application.recognition.recognize import recognize
from edgec.application.record import Application, application_of
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import make_decoder, named_decoder
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.model.graph import is_static
from edgec.model.metadata import names_in_metadata
from edgec.model.signature import TensorSpec, batched, inputs_of, outputs_of
from edgec.preprocessing import Preprocessing


@dataclass(frozen=True)
class Settled:
    """How the outputs are decoded and how pictures are preprocessed.

    Attributes:
        application: The meaning of the outputs; None if it is unknown.
        preprocess: Preprocessing as given or, otherwise, as assumed.
        hint: What is missing for decoding the outputs, in one sentence; empty if nothing is.
    """

    application: Application | None
    preprocess: Preprocessing
    hint: str = ""


def settle(
    model: ir.Model,
    *,
    decoder: str | None = None,
    classes: Any = None,
    preprocess: Preprocessing | None = None,
    path: Path | None = None,
    data: Any = None,
) -> Settled:
    """Return how the outputs of `model` are decoded.

    Args:
        model: Model with static shapes.
        decoder: Decoder as for `read_decoder`; None: the recognised one.
        classes: Class names as for `read_classes`; None: the decoder's own, else those in the metadata, else those of
            the data.
        preprocess: Preprocessing of pictures; fields that are not set get the values usual for the head.
        path: File of the model, in which a decoder may read metadata.
        data: Data as for `open_samples`; None: there is none.

    Raises:
        BadOption: The decoder cannot read the outputs, or the number of names is not that of the classes, or the data,
            whose names are needed, cannot be opened.
    """
    preprocess = Preprocessing() if preprocess is None else preprocess
    metadata = dict(model.metadata_props)
    network = _Network(inputs_of(model), _known_outputs(model), metadata, data)
    names = read_classes(classes) if classes is not None else ()
    if decoder is not None:
        name, made = named_decoder(decoder, path)
        how = _completed(preprocess, _of_input(model))
        return Settled(_named(name, made, names, network, how, ()), how)
    head = recognize(model)
    if not isinstance(head, Head):
        if names:
            problem = "--classes: the meaning of the outputs is unknown, so there are no classes to name"
            raise BadOption(problem, remedy=_remedy(head))
        return Settled(None, _completed(preprocess, _of_input(model)), head.text if head else "")
    how = _completed(preprocess, {**_of_input(model), **_wanted(head, metadata)})
    assumed = (f"recognised {head.decoder}: {head.reason}", *head.assumed)
    if how != preprocess:
        assumed += (f"pictures are preprocessed as {_described(how)}",)
    made = make_decoder(head.decoder, dict(head.settings), f"recognised decoder {head.decoder}")
    return Settled(_named(head.decoder, made, names, network, how, assumed), how)


def _completed(given: Preprocessing, assumed: Mapping[str, Any]) -> Preprocessing:
    """Return `given` with the assumed values in the fields that were not set."""
    return Preprocessing(**{**assumed, **{field: getattr(given, field) for field in given.model_fields_set}})


def _remedy(head: Hint | None) -> str:
    return f"Give --decoder too: {head.text}." if head else "Give --decoder too."


@dataclass(frozen=True)
class _Network:
    """What may tell the names of a network's classes, and how many they are."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] | None
    metadata: Mapping[str, str]
    data: Any

    def check(self, decoder: Decoder, how: Preprocessing) -> None:
        """Refuse a decoder that does not fit the outputs, where that can be told."""
        if self.outputs is not None and _takes_pictures(self.inputs, how):
            check_fit(decoder, self.outputs, self.inputs, how)

    def named_by_data(self, how: Preprocessing) -> tuple[str, ...]:
        return () if self.data is None else open_samples(self.data, self.inputs, how).classes


def _known_outputs(model: ir.Model) -> tuple[TensorSpec, ...] | None:
    """Return the outputs of `model`; None where the size of one depends on the data."""
    return outputs_of(model) if all(is_static(value) for value in model.graph.outputs) else None


def _named(
    name: str,
    decoder: Decoder,
    names: tuple[str, ...],
    network: _Network,
    how: Preprocessing,
    assumed: tuple[str, ...],
) -> Application:
    """Return the record of `decoder` with its class names, after a check that it fits the outputs."""
    if names:
        decoder = _with_names(decoder, names)
    network.check(decoder, how)
    places: tuple[tuple[str, Callable[[], tuple[str, ...]]], ...] = (
        ("the model's metadata", lambda: names_in_metadata(network.metadata)),
        ("the data", lambda: network.named_by_data(how)),
    )
    for place, read in places:
        found = () if decoder.classes else read()
        if not found:
            continue
        try:
            network.check(_with_names(decoder, found), how)
        except BadOption:
            assumed += (f"the {len(found)} class names in {place} do not belong to this head",)
            continue
        decoder = _with_names(decoder, found)
        assumed += (f"the names of the {len(found)} classes are those in {place}",) if assumed else ()
    return application_of(name, decoder, assumed)


def _with_names(decoder: Decoder, names: tuple[str, ...]) -> Decoder:
    return decoder.model_copy(update={"classes": names})


def _takes_pictures(inputs: tuple[TensorSpec, ...], how: Preprocessing) -> bool:
    shape = batched(inputs[0].shape) if len(inputs) == 1 else ()
    return len(shape) == 4 and shape[0] == 1 and shape[1 if how.layout == "NCHW" else 3] == how.channels


def _of_input(model: ir.Model) -> dict[str, Any]:
    """Return the layout and the colours that follow from the shape of the only input."""
    inputs = inputs_of(model)
    shape = batched(inputs[0].shape) if len(inputs) == 1 else ()
    if len(shape) != 4:
        return {}
    _, first, _, last = shape
    shown: dict[str, Any] = {}
    if first not in (1, 3) and last in (1, 3):
        shown["layout"] = "NHWC"
    if (last if "layout" in shown else first) == 1:
        shown["colour"] = "grey"
    if "int" in inputs[0].dtype:
        shown["scale"] = 1.0
    return shown


def _wanted(head: Head, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the usual preprocessing of networks with this head."""
    wanted = dict(head.preprocess)
    if head.decoder == "scores" and metadata.get("task") == "classify" and "Ultralytics" in metadata.get("author", ""):
        wanted |= {"resize": "crop", "crop_fraction": 1.0}
    return wanted


def _described(how: Preprocessing) -> str:
    low, high = ((level * how.scale - how.mean[0]) / how.std[0] for level in (0, 255))
    return f"{how.resize}, {how.colour}, {low:.4g}..{high:.4g}, {how.layout} (--preprocess changes it)"
