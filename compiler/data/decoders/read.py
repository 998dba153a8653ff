"""`read_decoder`: makes a decoder from its record (JSON, TOML) or from its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from edgec import registry
from edgec.data.decoders.base import Decoder
from edgec.data.sources.text import read_text
from edgec.errors import UNKNOWN, BadOption, first_problem
from edgec.plain_file import parse
from edgec.registry import suggest

FORMS = "Give NAME[,key=value...] or a JSON or TOML record with a key `decoder`."


def read_decoder(given: str, model: Path | None = None) -> Decoder:
    """Return the decoder that `given` describes; see `named_decoder`."""
    return named_decoder(given, model)[1]


def named_decoder(given: str, model: Path | None = None) -> tuple[str, Decoder]:
    """Return the decoder that `given` describes, with its name.

    Args:
        given: Path of a record (.json, .toml): the decoder's settings and its name as `decoder`; without a name, it is
            `yolov3`. Or a name with settings, e.g. `yolox,strides=8/16/32,min_score=0.1`.
        model: ONNX file from which the decoder may take settings.

    Raises:
        BadOption: There is no such decoder or file, or a setting is wrong; the message names it.
    """
    path = Path(given)
    if path.suffix in (".json", ".toml"):
        settings = _read_record(path)
        # `input` describes the network's input for other tools; it is not a setting of a decoder.
        settings.pop("input", None)
        name = settings.pop("decoder", "yolov3")
    else:
        name, settings = _parse(given)
        made = _decoder(name)
        for key, value in settings.items():
            if key in made.model_fields and get_origin(made.model_fields[key].annotation) is tuple:
                settings[key] = value.split("/")
    if model is not None:
        settings = {**_decoder(name).settings_of(model), **settings}
    return name, make_decoder(name, settings, f"decoder {given}")


def make_decoder(name: str, settings: dict[str, Any], source: str) -> Decoder:
    """Return the decoder `name`, as registered or `module:Class`, with `settings`; `source` is for messages.

    Raises:
        BadOption: There is no such decoder, or a setting is wrong; the message names it.
    """
    made = _decoder(name)
    try:
        return made.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        fields = made.model_fields
        remedy = suggest(key, fields) if first["type"] in UNKNOWN else f"Settings: {', '.join(fields)}."
        raise BadOption(first_problem(error, source), remedy=remedy) from error


def _decoder(name: object) -> type[Decoder]:
    known = registry.names("decoders")
    if not isinstance(name, str) or (name not in known and ":" not in name):
        raise BadOption(f"unknown decoder {name!r}", remedy=f"{suggest(str(name), known)} {FORMS}")
    made = registry.load("decoders", name)
    if not (isinstance(made, type) and issubclass(made, Decoder)):
        raise BadOption(f"decoder {name!r} is not a class of decoders", remedy="Derive it from Decoder.")
    return made


def _read_record(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        record = parse("json" if path.suffix == ".json" else "toml", text)
    except ValueError as error:  # of JSON or of TOML
        raise BadOption(f"decoder {path}: {error}", remedy=FORMS) from error
    if not isinstance(record, dict):
        raise BadOption(f"decoder {path} is not a record", remedy=FORMS)
    return record


def _parse(given: str) -> tuple[str, dict[str, Any]]:
    name, *items = given.split(",")
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise BadOption(f"decoder {given!r}: {item!r} is not key=value", remedy=FORMS)
        settings[key] = value
    return name, settings
