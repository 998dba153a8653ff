"""`read_measured`: the evidence as records, checked first, because any program may have written it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgec.artefact import evidence
from edgec.artefact.files import EVIDENCE
from edgec.errors import BadArtefact, first_problem
from edgec.targets.base import is_emulated
from edgec.targets.emulated_time import EmulatedTime

ESTIMATED = "estimated by emulation, not measured"
"""What kind of time an `EmulatedTime` is."""
READ = ConfigDict(frozen=True, extra="ignore")


class Latency(BaseModel):
    """Latency from `edgec bench`, or from the board."""

    model_config = READ

    where: str
    threads: int
    runs: int
    median: float

    @property
    def title(self) -> str:
        """What kind of time it is."""
        return "time under emulation, not the board's" if is_emulated(self.where) else "measured latency"


class Output(BaseModel):
    """Error of an output relative to the golden one."""

    model_config = READ

    relative: float


class Comparison(BaseModel):
    """All outputs."""

    model_config = READ

    outputs: tuple[Output, ...] = ()


class Checked(BaseModel):
    """Result of `edgec verify`."""

    model_config = READ

    where: str
    tolerance: float
    comparison: Comparison


class Metric(BaseModel):
    """One metric of `edgec eval`; None if it has no value."""

    model_config = READ

    value: float | None


class Evaluated(BaseModel):
    """Results of `edgec eval`."""

    model_config = READ

    samples: int
    where: str
    metrics: dict[str, Metric]


class Kernel(BaseModel):
    """What the board runs in one go."""

    model_config = READ

    function: str
    nodes: tuple[str, ...]
    ms: float
    macs: int = 0
    bytes: int = 0
    share_of_peak: float = 0.0


class Kernels(BaseModel):
    """Of `edgec bench --layers`, or of the board."""

    model_config = READ

    where: str
    threads: int
    runs: int
    whole_ms: float
    executor_ms: float
    kernels: tuple[Kernel, ...]


class Measured(BaseModel):
    """The evidence; parts that are not shown may contain anything."""

    model_config = READ

    latency: Latency | None = None
    emulated_time: EmulatedTime | None = None
    kernels: Kernels | None = None
    verification: Checked | None = None
    evaluation: Evaluated | None = None


Form = TypeVar("Form", bound=Measured)


def read_measured(folder: Path, form: type[Form]) -> Form:
    """Return the evidence of the artefact in `folder`, as a record of the class `form`.

    Raises:
        BadArtefact: The evidence has another form.
    """
    try:
        return form.model_validate(evidence.read(folder))
    except ValidationError as error:
        remedy = f"Remove {EVIDENCE} there and measure again."
        raise BadArtefact(f"{folder}: {EVIDENCE}: {first_problem(error)}", remedy=remedy) from error
