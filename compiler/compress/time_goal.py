"""`TimeGoal`: the network that loses least of those that are fast enough on the board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from edgec.compress.candidates import Candidates
from edgec.compress.compressed import Compressed
from edgec.compress.rounds import Rounds
from edgec.errors import BadOption, InternalError
from edgec.model.cost import LayerCost

TRIES = 3
"""Number of times that more is pruned if the layers that a precision leaves in float take longer than assumed."""


class TimeGoal:
    """Networks within one estimated time after the other. Sensitivities and losses of candidates are computed once.

    Args:
        rounds: The network, its data, and what was computed for other goals.
        precisions: Those to choose from.
        board: Name of the board, for messages.
    """

    def __init__(self, rounds: Rounds, precisions: Sequence[str], board: str) -> None:
        self._rounds = rounds
        self._precisions = precisions
        self._board = board
        self._known: dict[str, Candidates] = {}

    def within(self, seconds: float) -> Compressed:
        """Return the network with the least loss on the samples for decisions, of one candidate for each precision.

        Args:
            seconds: Maximum of the estimated time of an inference.

        Raises:
            BadOption: No network that was found is fast enough, or the data is wrong.
        """
        fitted = {precision: self.fitted(precision, seconds) for precision in self._precisions}
        found = [each for each in fitted.values() if isinstance(each, Compressed)]
        if not found:
            least, precision = min((each, name) for name, each in fitted.items() if isinstance(each, float))
            raise BadOption(
                f"--max-latency {1e3 * seconds:.4g}: {1e3 * least:.4g} ms in {precision} is the least that was found "
                f"for {self._board}",
                remedy="Accept more time, or let more channels be removed (--prune cap=0.85).",
            )
        return min(found, key=self._rounds.loss)

    def fitted(self, precision: str, seconds: float) -> Compressed | float:
        """Return the network in `precision`, pruned no further than `seconds` need; or the least seconds it can take.

        Raises:
            BadOption: The data is wrong.
        """
        rounds = self._rounds
        if self.seconds(precision) <= seconds:
            return self._converted(rounds.plain(rounds.original, None), precision, seconds)
        if not rounds.prunes:
            return self.seconds(precision)
        candidates = self._candidates(precision)
        whole, wanted, time = self.seconds(precision), seconds, self.least(precision)
        for _ in range(TRIES):
            found = candidates.within(wanted / whole)
            if found is None:
                return time
            pruned = found.pruned or rounds.pruner.prune(found.plan)
            result = self._converted(rounds.plain(pruned.model, pruned), precision, seconds)
            time = rounds.in_formats.seconds(result)
            if time <= seconds:
                return result
            wanted *= seconds / time
        return time

    def least(self, precision: str) -> float:
        """Return the least estimated time that pruning reaches in `precision`."""
        whole = self.seconds(precision)
        return whole * self._candidates(precision).least if self._rounds.prunes else whole

    def _candidates(self, precision: str) -> Candidates:
        """Return the ways to distribute a time over the groups."""
        if precision not in self._known:
            rounds, in_float = self._rounds, self._untouched[precision].in_float

            def prices(layers: Sequence[LayerCost]) -> Sequence[float]:
                return rounds.in_formats.times(layers, precision, in_float)

            report = rounds.sensitivity
            if report is None:
                raise InternalError("a time is a goal that needs sensitivities")
            self._known[precision] = Candidates(rounds.pruner, report, prices, rounds.pruning.cap)
        return self._known[precision]

    def seconds(self, precision: str) -> float:
        """Return the estimated time of the network in `precision` with all its channels."""
        return self._rounds.in_formats.seconds(self._untouched[precision])

    @cached_property
    def _untouched(self) -> dict[str, Compressed]:
        plain = self._rounds.plain(self._rounds.original, None)
        return {precision: self._converted(plain, precision, 0.0) for precision in self._precisions}

    def _converted(self, plain: Compressed, precision: str, seconds: float) -> Compressed:
        formats = self._rounds.in_formats
        if precision == "int8":
            return formats.in_integers_within(plain, seconds)
        return formats.in_halves(plain) if precision == "fp16" else plain


def above(value: float) -> float:
    """Return `value`, rounded up to four digits."""
    if not 0 < value < math.inf:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 3)
    return float(f"{math.ceil(value / unit) * unit:.4g}")
