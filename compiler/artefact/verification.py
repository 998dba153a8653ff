"""`Verification`: the outcome of running an artefact on its golden inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgec.errors import VerificationFailed
from edgec.reference.compare import Comparison

REPORT_IT = (
    "Please report it with the model: it is a bug of edgec. Another precision, or --no-verify, may help until then."
)
BY_EVAL = (
    "An integer network may amplify a single rounding: `edgec eval` measures what that costs. "
    "If the metric is worse too, compile with --max-loss, or in another precision."
)


@dataclass(frozen=True, repr=False)
class Verification:
    """The errors of an artefact against the reference, on its golden inputs.

    Attributes:
        where: What ran it.
        tolerance: Accepted error, relative to the range of an output; larger where the reference's own noise is larger.
        comparison: Of the outputs, the worst of all samples.
        precision: Of the artefact.
        inner: Of sketches of values inside the network, where they can be read.
        samples: Number of golden inputs.
        exact: Whether the reference computes in the precision of the artefact, so that any difference is an error.
        flat: Outputs that are constant on all golden inputs: that they are right says little.
    """

    where: str
    tolerance: float
    comparison: Comparison
    precision: str = "fp32"
    inner: Comparison = field(default_factory=lambda: Comparison(()))
    samples: int = 1
    exact: bool = False
    flat: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every output, and every value inside, is within the tolerance or the reference's own noise."""
        return self.comparison.within(self.tolerance) and self.inner.within(self.tolerance)

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else "FAILED"
        return f"<Verification: {verdict}, error {self.worst:.1e} of the range, {self.where}>"

    @property
    def worst(self) -> float:
        """Largest error relative to the range of its output."""
        return self.comparison.relative

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know, a sentence each."""
        by_noise = [each for each in self.comparison.outputs if each.is_noise(self.tolerance)]
        return (
            *(f"{each.name} differs where the reference itself does ({each})" for each in by_noise),
            *(
                f"{name} is constant on all golden inputs: give others with --input to see more of it"
                for name in self.flat
            ),
        )

    def check(self) -> None:
        """Raise unless `ok`.

        Raises:
            VerificationFailed: Names the worst output or, where the outputs are right, the first wrong value inside.
        """
        if self.ok:
            return
        wrong = self.comparison.failed(self.tolerance)
        inner = next((each for each in self.inner.outputs if not each.within(self.tolerance)), None)
        told = str(wrong) if wrong is not None else f"inside the network {inner}"
        if wrong is not None and inner is not None:
            told += f"; the first value inside that is wrong is {inner}"
        remedy = BY_EVAL if self.precision == "int8" and not self.exact else REPORT_IT
        raise VerificationFailed(f"{told} ({self.where}; accepted {self.tolerance:.0e})", remedy=remedy)
