"""Records of settings made from user input: one message for a wrong key or value, one command-line form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from edgec.errors import UNKNOWN, BadOption, first_problem
from edgec.registry import suggest

Settings = TypeVar("Settings")


def fields_of(kind: type[Any]) -> Mapping[str, Any]:
    """Return the fields of a pydantic model or dataclass by name."""
    return dict(getattr(kind, "model_fields", None) or kind.__pydantic_fields__)


def validated(kind: type[Settings], given: Mapping[str, Any], source: str) -> Settings:
    """Make a record of `kind`.

    Args:
        kind: A pydantic model or dataclass that forbids unknown fields.
        given: Field name -> value.
        source: Origin of the settings, for the message, e.g. `--prune`.

    Raises:
        BadOption: A field is unknown (the message lists near matches) or a value is wrong; the first one is named.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        raise refused(error, kind, source) from error


def refused(error: ValidationError, kind: type[Any], source: str) -> BadOption:
    """Return the error that names the first field of a record of `kind` that pydantic rejects."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    remedy = suggest(key, fields_of(kind)) if first["type"] in UNKNOWN else None
    return BadOption(first_problem(error, source), remedy=remedy)


def parse_settings(text: str, kind: type[Settings], option: str) -> Settings:
    """Parse the command-line form of a record: `key=value,key=value`.

    Several numbers are separated by slashes (`mean=0.485/0.456/0.406`); several texts are given one by one
    (`exclude=/head/*,exclude=/neck/*`).

    Args:
        text: What the user gave.
        kind: A pydantic model or dataclass that forbids unknown fields.
        option: Name of the option, for the message.

    Raises:
        BadOption: A key is unknown or a value is wrong.
    """
    given: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or key not in fields_of(kind):
            remedy = suggest(key, fields_of(kind)) + " Form: key=value,key=value."
            raise BadOption(f"{option}: {item!r} is not a setting", remedy=remedy)
        annotation = str(fields_of(kind)[key].annotation)
        if annotation.startswith("tuple[str"):
            given.setdefault(key, []).append(value)
        else:
            given[key] = value.split("/") if annotation.startswith("tuple") else value
    return validated(kind, given, option)
