"""`read_decoder`: a decoder from its record (JSON, TOML) or from its name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgec.data.decoders.base import Decoder
from edgec.data.decoders.boxes import PlainBoxes
from edgec.data.decoders.centernet import Centernet
from edgec.data.decoders.class_map import ClassMap
from edgec.data.decoders.ctc import Ctc
from edgec.data.decoders.dbnet import Dbnet
from edgec.data.decoders.scores import Scores
from edgec.data.decoders.ssd import Ssd
from edgec.data.decoders.yolov3 import Yolov3
from edgec.data.decoders.yolov5 import Yolov5
from edgec.data.decoders.yolov8 import Yolov8
from edgec.data.decoders.yolox import Yolox
from edgec.data.sources.text import read_text
from edgec.errors import BadOption
from edgec.registry import suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DECODERS: dict[str, type[Decoder]] = {
    "boxes": PlainBoxes,
    "centernet": Centernet,
    "class-map": ClassMap,
    "ctc": Ctc,
    "dbnet": Dbnet,
    "scores": Scores,
    "ssd": Ssd,
    "yolov3": Yolov3,
    "yolov5": Yolov5,
    "yolov8": Yolov8,
    "yolox": Yolox,
}
FORMS = "Give NAME[,key=value...] or a JSON or TOML record with a key `decoder`."


def read_decoder(given: str, model: Path | None = None) -> Decoder:
    """Return the decoder that `given` describes.

    Args:
        given: Path of a record (.json, .toml): the decoder's settings and its name as `decoder`; without one, it is
            `yolov3`. Or a name with settings, e.g. `yolox,strides=8/16/32,min_score=0.1`.
        model: ONNX file in whose metadata a `ctc` decoder finds its dictionary if its settings name none.

    Raises:
        BadOption: There is no such decoder or file, or a setting is wrong; it is named.
    """
    path = Path(given)
    if path.suffix in (".json", ".toml"):
        settings = _read_record(path)
        # What the network takes is stated in the same record for its trainers; it is no setting of a decoder.
        settings.pop("input", None)
        name = settings.pop("decoder", "yolov3")
    else:
        name, settings = _parse(given)
    if not isinstance(name, str) or name not in DECODERS:
        raise BadOption(f"unknown decoder {name!r}", remedy=f"{suggest(str(name), DECODERS)} {FORMS}")
    if name == "ctc" and model is not None:
        settings.setdefault("dictionary", model)
    try:
        return DECODERS[name].model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        fields = DECODERS[name].model_fields
        remedy = suggest(key, fields) if first["type"] == "extra_forbidden" else f"Settings: {', '.join(fields)}."
        raise BadOption(f"decoder {given}: {key}: {first['msg']}", remedy=remedy) from error


def _read_record(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        record = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:  # both decoders' errors derive from it
        raise BadOption(f"decoder {path}: {error}", remedy=FORMS) from error
    if not isinstance(record, dict):
        raise BadOption(f"decoder {path}: not a record", remedy=FORMS)
    return record


def _parse(given: str) -> tuple[str, dict[str, Any]]:
    name, *items = given.split(",")
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise BadOption(f"decoder {given!r}: {item!r} is not key=value", remedy=FORMS)
        settings[key] = value.split("/") if key in ("strides", "classes", "variances") else value
    return name, settings
