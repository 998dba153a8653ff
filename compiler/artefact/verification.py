"""`Verification`: the result of running an artefact on its golden inputs."""

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
    """Errors of an artefact relative to the reference, on its golden inputs.

    Attributes:
        where: Where it ran.
        tolerance: Accepted error, relative to the range of an output; a larger noise of the reference is accepted too.
        comparison: Comparison of the outputs, the worst of all samples.
        precision: Precision of the artefact.
        inner: Comparison of sketches of inner values, if these can be read.
        wrong_layers: Comparison of the values that are not what the reference computes from the artefact's own inner
            values before them; these are compared only when it is compiled.
        samples: Number of golden inputs.
        exact: Whether the reference computes in the precision of the artefact, so that any difference is an error.
        flat: Outputs that are constant on all golden inputs, so that their comparison says little.
    """

    where: str
    tolerance: float
    comparison: Comparison
    precision: str = "fp32"
    inner: Comparison = field(default_factory=lambda: Comparison(()))
    wrong_layers: Comparison = field(default_factory=lambda: Comparison(()))
    samples: int = 1
    exact: bool = False
    flat: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every output, inner value and layer is within the tolerance or the noise of the reference."""
        ends = self.comparison.within(self.tolerance) and self.inner.within(self.tolerance)
        return ends and not self.wrong_layers.outputs

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else "FAILED"
        return f"<Verification: {verdict}, error {self.worst:.1e} of the range, {self.where}>"

    @property
    def worst(self) -> float:
        """Largest error relative to the range of its output."""
        return self.comparison.relative

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the figures for the reader, one sentence each."""
        by_noise = [each for each in self.comparison.outputs if each.is_noise(self.tolerance)]
        return (
            *(f"{each.name} differs, but rounding alone changes the reference as much ({each})" for each in by_noise),
            *(
                f"{name} is constant on all golden inputs, so comparing it says little; give others with --input"
                for name in self.flat
            ),
        )

    def check(self) -> None:
        """Raise an error unless `ok`.

        Raises:
            VerificationFailed: Names the worst output, the first wrong inner value, and the first wrong layer, as far
                as there are any.
        """
        if self.ok:
            return
        wrong = self.comparison.failed(self.tolerance)
        inner = next((each for each in self.inner.outputs if not each.within(self.tolerance)), None)
        layer = next(iter(self.wrong_layers.outputs), None)
        found = (
            ("", wrong),
            ("the first inner value that is wrong is " if wrong else "the inner value ", inner),
            ("the first layer that is wrong computes " if wrong or inner else "the layer that computes ", layer),
        )
        told = "; ".join(f"{words}{each}" for words, each in found if each is not None)
        remedy = BY_EVAL if self.precision == "int8" and not self.exact else REPORT_IT
        raise VerificationFailed(f"{told} ({self.where}; accepted {self.tolerance:.0e})", remedy=remedy)
