"""Options that several commands share; their help is that of the fields that they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgec.cli import completion
from edgec.measuring import Measuring
from edgec.options import CompileOptions
from edgec.preprocessing import Preprocessing as PreprocessingRecord
from edgec.pruning import PruneOptions
from edgec.quantizing import QuantizeOptions
from edgec.validation import fields_of, parse_settings, validated

DATA = "PATH|MODULE:CALLABLE"
PAIRS = "KEY=VALUE,..."


def field_help(kind: type[Any], field: str) -> str:
    """Return the help of an option: the description of the field that it sets."""
    return fields_of(kind)[field].description or ""


def _measuring(field: str) -> str:
    return field_help(Measuring, field)


Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model.")]
Target = Annotated[
    str, typer.Option("--target", "-t", autocompletion=completion.boards, help=field_help(CompileOptions, "target"))
]
Shape = Annotated[list[str], typer.Option(metavar="NAME=DIMS", help=field_help(CompileOptions, "shapes"))]
NeededData = Annotated[str, typer.Option(metavar=DATA, help=_measuring("data"))]
Data = Annotated[str | None, typer.Option(metavar=DATA, help=_measuring("data"))]
Metric = Annotated[
    str | None, typer.Option(autocompletion=completion.metrics, metavar="NAME", help=_measuring("metric"))
]
Decoder = Annotated[str | None, typer.Option(metavar="NAME|FILE", help=_measuring("decoder"))]
Preprocess = Annotated[str | None, typer.Option(metavar=PAIRS, help=_measuring("preprocess"))]
Limit = Annotated[int | None, typer.Option(min=1, help=_measuring("limit"))]
Workers = Annotated[int | None, typer.Option(min=0, help=_measuring("workers"))]
Scheduler = Annotated[str | None, typer.Option(metavar="tcp://HOST:PORT", help=_measuring("scheduler"))]
Criterion = Annotated[
    str, typer.Option(autocompletion=completion.criteria, metavar="NAME", help=field_help(PruneOptions, "criterion"))
]
Include = Annotated[list[str], typer.Option(metavar="PATTERN", help=field_help(PruneOptions, "include"))]
Exclude = Annotated[list[str], typer.Option(metavar="PATTERN", help=field_help(PruneOptions, "exclude"))]
Calibrator = Annotated[
    str,
    typer.Option(autocompletion=completion.calibrators, metavar="NAME", help=field_help(QuantizeOptions, "calibrator")),
]
Scheme = Annotated[str | None, typer.Option(metavar="NAME", help=field_help(QuantizeOptions, "scheme"))]
Equalize = Annotated[bool, typer.Option(help=field_help(QuantizeOptions, "equalize"))]


def measuring(**given: Any) -> Measuring:
    """Return the record of how losses are measured from the given options; the preprocessing is given as text.

    Raises:
        BadOption: A value is wrong.
    """
    return validated(Measuring, measuring_fields(**given), "measuring")


def measuring_fields(**given: Any) -> dict[str, Any]:
    """Return the given fields of `Measuring`, with the preprocessing parsed from its text.

    Raises:
        BadOption: The preprocessing is wrong, or there is no such data.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    from edgec.data.source import check_exists

    check_exists(fields.get("data"))
    if "preprocess" in fields:
        fields["preprocess"] = parse_settings(fields["preprocess"], PreprocessingRecord, "--preprocess")
    return fields
