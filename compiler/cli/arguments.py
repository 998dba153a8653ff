"""Parses arguments of the commands: name=value pairs, shapes with a batch range, values of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from edgec.errors import BadOption, first_problem
from edgec.quantizing import Kind
from edgec.registry import suggest

RANGE = re.compile(r"^(\d+)\.\.(\d+)([,x]|$)")
"""First dimension of a shape with a range of batch sizes."""
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def pairs(items: list[str], option: str) -> dict[str, str]:
    """Split `name=value` items.

    Raises:
        BadOption: An item has no name or no value, or a name is given twice.
    """
    result: dict[str, str] = {}
    for item in items:
        name, equals, value = item.rpartition("=")
        if not equals or not name or not value:
            raise BadOption(f"{option} {item!r} is not of the form name=value", remedy=f"Give {option} NAME=VALUE.")
        if name in result:
            raise BadOption(f"{option}: {name!r} is given twice")
        result[name] = value
    return result


def parse_shapes(items: list[str]) -> dict[str, tuple[int, ...]]:
    """Parse `name=1,3,640,640` items; for a range (`name=1..8,3,640,640`, see `parse_batch`) the smallest size is used.

    Raises:
        BadOption: An item is malformed.
    """
    shapes = {}
    for name, value in pairs(items, "--shape").items():
        try:
            shapes[name] = tuple(int(part) for part in RANGE.sub(r"\1\3", value).replace("x", ",").split(","))
        except ValueError:
            raise BadOption(
                f"--shape {name}={value}: dimensions must be whole numbers; the first may be a range",
                remedy="Give one such as x=1,3,640,640 or x=1..8,3,640,640.",
            ) from None
    return shapes


def parse_batch(items: list[str]) -> tuple[int, int] | None:
    """Return the smallest and largest batch size of `name=1..8,3,640,640` items; None if there is no range.

    Raises:
        BadOption: The range is empty, or inputs have different ranges.
    """
    ranges = {}
    for name, value in pairs(items, "--shape").items():
        if match := RANGE.match(value):
            low, high = int(match[1]), int(match[2])
            if not 1 <= low < high:
                raise BadOption(
                    f"--shape {name}={value}: {low}..{high} is not a range of batch sizes",
                    remedy="Give one such as 1..8.",
                )
            ranges[name] = (low, high)
    if len(set(ranges.values())) > 1:
        raise BadOption(f"--shape: inputs {', '.join(ranges)} have different ranges", remedy="Give one for all.")
    return next(iter(ranges.values()), None)


def option_names(kind: type[Any], given: Mapping[str, Any]) -> None:
    """Check values, before anything is loaded, against a record of settings; the message names the option.

    Raises:
        BadOption: A value is wrong.
    """
    try:
        TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        option = "--" + field.replace("_", "-")
        raise BadOption(option + first_problem(error).removeprefix(field)) from error


def check_scheme(name: str | None) -> Kind | None:
    """Return `name` if there is such a scheme.

    Raises:
        BadOption: There is no such scheme.
    """
    for known in get_args(Kind):
        if name == known:
            return cast(Kind, known)
    if name is not None:
        raise BadOption(f"--scheme: unknown scheme {name!r}", remedy=suggest(name, get_args(Kind)))
    return None


def parse_duration(text: str, option: str) -> float:
    """Return the seconds of `90s`, `30m` or `2h`.

    Raises:
        BadOption: The text is not of that form.
    """
    match = DURATION.fullmatch(text)
    if match is None:
        raise BadOption(f"{option} {text!r} is not a duration", remedy="Give one such as 90s, 30m or 2h.")
    return float(match[1]) * UNITS[match[2]]
