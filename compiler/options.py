"""Option records: name, type, default and help of every option are here; CLI and edgec.toml are derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgec.errors import BadOption, reason
from edgec.measuring import Measuring, MeasuringFields
from edgec.plain_file import parse
from edgec.preprocessing import Preprocessing
from edgec.pruning import PruneFields, PruneOptions
from edgec.quantizing import QuantizeFields, QuantizeOptions
from edgec.registry import suggest
from edgec.validation import fields_of, validated

Precision = Literal["fp32", "fp16", "int8"]
MOST_THREADS = 1024
"""Maximum number of threads of a board: a larger number is taken for a mistake."""


class CompileOptions(BaseModel):
    """Settings of one compilation. Every field is a key of edgec.toml and, with dashes for underscores, a CLI flag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="Board name (see `edgec targets`) or path of a board file (.toml).")
    shapes: dict[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="Shape of an input, which the model leaves open or which replaces its own.",
    )
    batch: tuple[int, int] | None = Field(
        default=None,
        description="Smallest and largest batch size, if it may vary at run time; shapes then contain the smallest.",
    )
    precision: Precision = Field(default="fp32", description="Number format of weights and activations.")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=MOST_THREADS,
        description="Number of threads on the board; default: as the board's record says.",
    )
    extra_passes: tuple[str, ...] = Field(
        default=(), description="Passes from plugins (entry point or module:Class), run after edgec's own."
    )
    verify_passes: bool = Field(
        default=False, description="Compare the model with the original by ONNX Runtime after every pass."
    )
    measuring: Measuring = Field(
        default_factory=Measuring,
        description="Data on which the network is compressed and int8 is calibrated, and how losses are measured.",
    )
    classes: str | tuple[str, ...] | None = Field(
        default=None,
        description="Names of the network's classes: a,b,c or a file; default: the names in the model's metadata.",
    )
    nms: bool = Field(
        default=False,
        description="Compile decoding and non-maximum suppression into the network (CPU boards), which then returns "
        "its detections.",
    )
    max_loss: float | None = Field(
        default=None,
        ge=0,
        description="Accepted loss of the metric: as far as it allows, the network is pruned, and quantized if the "
        "board has int8.",
    )
    max_latency: float | None = Field(
        default=None,
        gt=0,
        description="Milliseconds of an inference, as edgec estimates them for the board: the most accurate network "
        "within them is chosen; with max_loss, both are kept.",
    )
    prune: PruneOptions | None = Field(
        default=None,
        description="Remove channels by these settings of `edgec prune`; without a goal of its own, within max_loss "
        "or max_latency.",
    )
    quantize: QuantizeOptions = Field(
        default_factory=QuantizeOptions, description="How int8 is quantized: the settings of `edgec quantize`."
    )
    tuned: Path | None = Field(default=None, description="Database of `edgec tune`, whose measured schedules are used.")
    seed: int = Field(default=0, ge=0, description="Seed of the golden inputs, if none are given.")
    cache: bool = Field(
        default=True,
        exclude=True,
        description="Reuse and store compiled libraries in the user's cache.",
    )
    sign: Path | None = Field(
        default=None,
        exclude=True,
        description="Sign the artefact with this SSH key; a public key if an SSH agent holds the private one.",
    )
    runtime_wheel: Path | None = Field(
        default=None, description="TVM wheel for the board's CPU, which is used instead of a download (offline)."
    )

    @field_validator("batch")
    @classmethod
    def _a_range(cls, batch: tuple[int, int] | None) -> tuple[int, int] | None:
        if batch is not None and not 1 <= batch[0] < batch[1]:
            raise ValueError(f"{batch[0]}..{batch[1]} is not a range: give the smallest and the largest, e.g. 1 and 8")
        return batch

    @model_validator(mode="before")
    @classmethod
    def _tables(cls, given: Any) -> Any:
        return nested(given, "options") if isinstance(given, dict) else given

    @property
    def has_promise(self) -> bool:
        """Whether a loss or a time is promised: then precision and pruning are chosen, and pictures are held out."""
        return self.max_loss is not None or self.max_latency is not None

    @property
    def preprocess(self) -> Preprocessing:
        """How pictures become the network's input, wherever the artefact runs."""
        return self.measuring.preprocess

    def preprocessed(self, how: Preprocessing) -> CompileOptions:
        """Return the same options with another preprocessing."""
        return self.model_copy(update={"measuring": replace(self.measuring, preprocess=how)})


class CompileFields(MeasuringFields, total=False):
    """The fields of `CompileOptions` except the target, for calls that take them by name."""

    shapes: Mapping[str, tuple[int, ...]]
    batch: tuple[int, int] | None
    precision: Precision
    threads: int | None
    extra_passes: tuple[str, ...]
    verify_passes: bool
    measuring: Measuring
    classes: str | tuple[str, ...] | None
    nms: bool
    max_loss: float | None
    max_latency: float | None
    prune: PruneOptions | PruneFields | None
    quantize: QuantizeOptions | QuantizeFields
    calibrator: str
    scales: Path | None
    samples: int
    tuned: Path | None
    seed: int
    cache: bool
    sign: Path | None
    runtime_wheel: Path | None


MEASURING = {"samples": "limit"} | {name: name for name in fields_of(Measuring)}
"""Settings of the table `measuring` that may also be given at the top level."""
QUANTIZE = {name: name for name in ("calibrator", "scales")}
"""Settings of the table `quantize` that may also be given at the top level."""


def nested(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return settings in which those given at the top level for short, such as `data`, are moved into their table.

    Args:
        settings: The settings as the user gives them.
        source: Origin of the settings, for the message.

    Raises:
        BadOption: A setting is given at the top level and in its table.
    """
    result = dict(settings)
    for table, short in (("measuring", MEASURING), ("quantize", QUANTIZE)):
        inner = {name: result.pop(key) for key, name in short.items() if key in result}
        if not inner:
            continue
        given = result.get(table)
        if given is not None and not isinstance(given, dict):
            raise BadOption(f"{source}: {' and '.join(inner)} and {table} are given", remedy=f"Give it within {table}.")
        if twice := set(inner) & set(given or {}):
            problem = f"{source}: {', '.join(sorted(twice))} is given at the top and in {table}"
            raise BadOption(problem, remedy="Give it once.")
        result[table] = {**(given or {}), **inner}
    return result


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both, with tables merged; those of `over` override those of `under`."""
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in the TOML file `path`, keys as in `CompileOptions`.

    Raises:
        BadOption: The file is unreadable or not TOML, or a key is not a setting (it could become another argument).
    """
    try:
        settings = parse("toml", path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(
            f"settings file {path}: {reason(error)}", remedy="Give a TOML file, see docs/configuration.md."
        ) from error
    settings = nested(settings, f"settings file {path}")
    for key in settings:
        if key not in CompileOptions.model_fields:
            remedy = suggest(key, CompileOptions.model_fields)
            raise BadOption(f"settings file {path}: unknown setting {key!r}", remedy=remedy)
    return settings


def compile_options(settings: Mapping[str, Any], *, source: str = "options") -> CompileOptions:
    """Validate `settings` into `CompileOptions`.

    Args:
        settings: Field name -> value; those of `measuring`, and the calibrator and scales, may be at the top level.
        source: Origin of the settings, for the message.

    Raises:
        BadOption: A key is unknown or a value is wrong; the message names the first one.
    """
    return validated(CompileOptions, nested(settings, source), source)
