"""Limits of one version of TensorRT: newest opset, operators and the types of their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import onnx

from edgec.errors import BadOption
from edgec.plain_file import parse
from edgec.targets.tensorrt.board.facts import version_of
from edgec.targets.tensorrt.board.failure import Failure


@dataclass(frozen=True)
class Limits:
    """Limits of the TensorRT `version` (major.minor) whose tables are used for the board's.

    `operators` maps the operators of the standard domain that its parser supports to the types of their data, as
    TensorRT names them: FP32, FP16, BF16, INT8, UINT8, INT32, INT64, BOOL.
    """

    version: str
    max_opset: int
    operators: Mapping[str, frozenset[str]]

    def __gt__(self, other: Limits) -> bool:
        """Return whether these are the limits of a newer TensorRT."""
        return version_of(self.version) > version_of(other.version)

    @property
    def has_int64(self) -> bool:
        """Whether INT64 is a type of its own; before TensorRT 10 it is read as INT32, with clamped values."""
        return version_of(self.version) >= (10, 0)

    @property
    def has_uint8(self) -> bool:
        """Whether network inputs and outputs may be UINT8."""
        return version_of(self.version) >= (8, 5)

    @property
    def has_explicit_int8(self) -> bool:
        """Whether it gets Q/DQ models as they are; before 8.5 edgec gives it a calibration cache instead."""
        return version_of(self.version) >= (8, 5)

    def takes(self, op_type: str) -> bool:
        """Return whether the parser supports the operator (standard domain), in the newest opset that it reads."""
        return op_type in self.operators and (op_type in EXPERIMENTAL or schema(op_type, self.max_opset) is not None)


EXPERIMENTAL = frozenset({"ImageScaler", "ParametricSoftplus", "ScaledTanh", "Upsample"})
"""Operators of the first opsets, which newer opsets lack, but which the parser still reads."""


def limits_for(tensorrt: str) -> Limits:
    """Return the limits of TensorRT `tensorrt`, e.g. `8.2.1`: those of the newest known version that is not newer.

    Raises:
        BadOption: It is not a version, or is older than all known ones.
    """
    known = known_limits()
    try:
        wanted = version_of(tensorrt)
    except Failure as error:
        raise BadOption(f"software.tensorrt {tensorrt!r} is not a version", remedy='Write it as in "8.2.1".') from error
    fitting = [limits for limits in known if version_of(limits.version) <= wanted]
    if not fitting:
        raise BadOption(
            f"TensorRT {tensorrt} is older than {known[0].version}, the oldest that edgec knows",
            remedy="Install JetPack 4.6.1 or later on the board.",
        )
    return fitting[-1]


@cache
def known_limits() -> tuple[Limits, ...]:
    """Return the limits of every known version, oldest first."""
    tables = _tables()
    versions = sorted((name for name in tables if name != "operators"), key=version_of)
    return tuple(
        Limits(
            version,
            int(tables[version]["max_opset"]),
            {op: frozenset(row[version].split()) for op, row in tables["operators"].items() if version in row},
        )
        for version in versions
    )


@cache
def schema(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """Return the definition of the standard operator in `opset`; None if there is none, or it is deprecated."""
    try:
        found = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


@cache
def _tables() -> dict[str, dict[str, Any]]:
    text = resources.files("edgec.targets.tensorrt").joinpath("operators.toml").read_text(encoding="utf-8")
    return dict(parse("toml", text))
