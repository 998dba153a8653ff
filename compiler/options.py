"""Option records: an option has its name, type, default and help here; CLI and edgec.toml derive from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edgec.errors import BadOption
from edgec.plain_file import parse_toml
from edgec.preprocessing import Preprocessing
from edgec.pruning import PruneOptions
from edgec.registry import suggest

if sys.version_info >= (3, 11):
    pass
else:
    pass

Precision = Literal["fp32", "fp16", "int8"]
MOST_THREADS = 1024
"""Threads of a board at most: beyond, a number is a mistake."""


class CompileOptions(BaseModel):
    """Settings of one compilation. Every field is also a key of edgec.toml and, dashes for underscores, a CLI flag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="Board name (see `edgec targets`) or path of a board file (.toml).")
    shapes: dict[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="Shape of an input: where the model leaves it open, or instead of the one it has.",
    )
    batch: tuple[int, int] | None = Field(
        default=None, description="Smallest and largest batch, where it may vary; shapes then hold the smallest."
    )
    precision: Precision = Field(default="fp32", description="Number format of weights and activations.")
    threads: int | None = Field(
        default=None, ge=1, le=MOST_THREADS, description="Threads on the board; default: the board record's."
    )
    extra_passes: tuple[str, ...] = Field(
        default=(), description="Passes from plugins (entry point or module:Class), run after edgec's own."
    )
    verify_passes: bool = Field(
        default=False, description="Compare the model with the original by ONNX Runtime after every pass."
    )
    preprocess: Preprocessing = Field(
        default_factory=Preprocessing, description="How pictures become the network's input; kept in the manifest."
    )
    data: str | None = Field(
        default=None, description="Pictures that compression is decided and int8 is calibrated on; or module:callable."
    )
    samples: int = Field(default=128, ge=1, description="Take at most that many of them, evenly spread.")
    max_loss: float | None = Field(
        default=None,
        ge=0,
        description="Accepted loss of the metric: prune, and quantize where the board has int8, as far as it allows.",
    )
    metric: str | None = Field(default=None, description="What the loss is measured by; default: output error.")
    decoder: str | None = Field(default=None, description="How outputs are read, for the metric.")
    prune: PruneOptions | None = Field(
        default=None, description="Remove channels: the settings of `edgec prune`; without a goal, within max_loss."
    )
    calibrator: str = Field(default="mse", description="How int8 ranges are found (entry point or module:Class).")
    scales: Path | None = Field(default=None, description="Table of `edgec calibrate`, instead of calibrating.")
    tuned: Path | None = Field(default=None, description="Database of `edgec tune`: what was measured is used.")
    seed: int = Field(default=0, ge=0, description="Seed of the golden inputs where none are given.")
    cache: bool = Field(
        default=True,
        exclude=True,
        description="Take what was compiled before from the user's cache, and keep it there.",
    )
    sign: Path | None = Field(
        default=None,
        exclude=True,
        description="Sign the artefact with this key of ssh-keygen, public if an agent has it.",
    )
    runtime_wheel: Path | None = Field(
        default=None, description="TVM wheel for the board's CPU, instead of downloading it (offline use)."
    )

    @field_validator("batch")
    @classmethod
    def _a_range(cls, batch: tuple[int, int] | None) -> tuple[int, int] | None:
        if batch is not None and not 1 <= batch[0] < batch[1]:
            raise ValueError(f"{batch[0]}..{batch[1]} is no range: give the smallest and the largest, e.g. 1 and 8")
        return batch


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in the TOML file `path`, keys as in `CompileOptions`.

    Raises:
        BadOption: The file is unreadable or not TOML, or a key is no setting (and might become another argument).
    """
    try:
        settings = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(
            f"settings file {path}: {error}", remedy="Give a TOML file, see docs/configuration.md."
        ) from error
    for key in settings:
        if key not in CompileOptions.model_fields:
            remedy = suggest(key, CompileOptions.model_fields)
            raise BadOption(f"settings file {path}: unknown setting {key!r}", remedy=remedy)
    return settings


def compile_options(settings: dict[str, Any], *, source: str = "options") -> CompileOptions:
    """Validate `settings` into `CompileOptions`.

    Args:
        settings: Field name -> value.
        source: Where they come from, for the message.

    Raises:
        BadOption: A key is unknown or a value is wrong; the first such is named.
    """
    try:
        return CompileOptions.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadOption(
                f"{source}: unknown setting {key!r}", remedy=suggest(key, CompileOptions.model_fields)
            ) from error
        raise BadOption(f"{source}: {key}: {first['msg']} (got {first['input']!r})") from error
