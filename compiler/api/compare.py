"""`compare`: the differences between two artefacts, models or results, and whether they are within limits."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from edgec.api.figures import Figures, figures_of
from edgec.api.opened import Shapes
from edgec.artefact.artefact import Artefact
from edgec.errors import BadOption
from edgec.model.load import Source

WORTH_TELLING = 0.01
"""Change of a kernel's time, as a share of that of all kernels, from which on it is told."""
MOST_TOLD = 5


@dataclass(frozen=True)
class Change:
    """One figure of both sides; None if it is unknown. `beyond` says which limit it exceeds, if any."""

    name: str
    old: float | None
    new: float | None
    unit: str = ""
    beyond: str = ""

    @property
    def relative(self) -> float | None:
        """Relative change of the figure."""
        if self.old is None or self.new is None or not self.old or not math.isfinite(self.old):
            return None
        return self.new / self.old - 1


@dataclass(frozen=True, repr=False)
class Changes:
    """Differences between `old` and `new`.

    Attributes:
        old: Name of the old side.
        new: Name of the new side.
        rows: One row for each figure that is known for either side.
        notes: Remarks for the reader, one sentence each.
    """

    old: str
    new: str
    rows: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all figures are within the limits."""
        return not any(row.beyond for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the changes as values that JSON can store; a figure that is not finite becomes None."""
        rows = [asdict(row) | {"relative": row.relative} for row in self.rows]
        clean = [{key: None if _is_infinite(value) else value for key, value in row.items()} for row in rows]
        return {"old": self.old, "new": self.new, "ok": self.ok, "changes": clean, "notes": list(self.notes)}

    def markdown(self) -> str:
        """Return the changes as a Markdown table for a pull request."""
        verdict = "within the limits" if self.ok else "**beyond the limits**"
        lines = [f"`{_cell(self.old)}` to `{_cell(self.new)}`: {verdict}", ""]
        lines += ["| figure | old | new | change | |", "| --- | ---: | ---: | ---: | --- |"]
        for row in self.rows:
            cells = (row.name, shown(row.old, row.unit), shown(row.new, row.unit), change(row), row.beyond)
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
        return "\n".join([*lines, *(f"\n{_cell(note)}" for note in self.notes)])

    def __repr__(self) -> str:
        broken = [row.name for row in self.rows if row.beyond]
        return f"<Changes: {self.old} to {self.new}, {'ok' if self.ok else 'beyond: ' + ', '.join(broken)}>"


def compare(
    old: Source | Artefact,
    new: Source | Artefact,
    *,
    max_loss: float | None = None,
    max_slowdown: float | None = None,
    target: str | None = None,
    shapes: Shapes | None = None,
) -> Changes:
    """Compare `old` with `new`: size, work, error, metrics, time, and the nodes that a board refuses.

    For an artefact the figures are those in its evidence: run `edgec verify`, `bench` and `eval` on it before.

    Args:
        old: Artefact or its folder, ONNX model, or a .json file that `edgec bench --json` or `eval --json` printed.
        new: The same.
        max_loss: Maximum loss of each metric, in its own units.
        max_slowdown: Maximum relative increase of the time, e.g. 0.03. A time is too long only if both its median and
            its minimum exceed this, because noise changes one of them.
        target: Board on which the nodes of models are checked. New refusals exceed a limit.
        shapes: Shapes of inputs that the models leave open.

    Raises:
        BadOption: A side cannot be read, or a limit is given for something that was not measured equally on both sides.
    """
    for name, limit in (("max_loss", max_loss), ("max_slowdown", max_slowdown)):
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            raise BadOption(f"{name} must be 0 or more, got {limit}")
    before, after = figures_of(old, target, shapes), figures_of(new, target, shapes)
    rows = [
        Change("size", before.size, after.size, "MiB"),
        Change("multiply-accumulates", before.macs, after.macs, "M"),
        Change("error", before.error, after.error, "of the range", "verification fails" * (after.correct is False)),
        *_lost_rows(before, after),
        *_metric_rows(before, after, max_loss),
        *_time_rows(before, after, max_slowdown),
        *_refusal_rows(before, after),
    ]
    known = tuple(row for row in rows if row.old is not None or row.new is not None)
    if not known or not any(row.old is not None and row.new is not None for row in known):
        remedy = "Give two artefacts, two models, or two results of the same command."
        raise BadOption(f"{before.name} and {after.name} have no figure in common", remedy=remedy)
    return Changes(before.name, after.name, known, _notes(before, after))


def _lost_rows(before: Figures, after: Figures) -> list[Change]:
    names = {**before.lost, **after.lost}
    return [Change(f"lost by compression, {name}", before.lost.get(name), after.lost.get(name)) for name in names]


def _metric_rows(before: Figures, after: Figures, limit: float | None) -> list[Change]:
    shared = [name for name in before.metrics if name in after.metrics]
    if limit is not None and (not shared or before.data != after.data):
        measured = f"on {before.data or 'nothing'} and on {after.data or 'nothing'}" if shared else "not on both sides"
        remedy = "Run `edgec eval` on both with the same data and metric."
        raise BadOption(f"max_loss: metrics were measured {measured}", remedy=remedy)
    rows = []
    for name in {**before.metrics, **after.metrics}:
        one, other = before.metrics.get(name), after.metrics.get(name)
        beyond = ""
        if limit is not None and one is not None and other is not None and not other.loss_against(one) <= limit:
            beyond = f"lost {other.loss_against(one):.4g}, accepted {limit:g}"
        rows.append(Change(name, one.value if one else None, other.value if other else None, beyond=beyond))
    return rows


def _time_rows(before: Figures, after: Figures, limit: float | None) -> list[Change]:
    one, other = before.times, after.times
    if limit is not None and (one is None or other is None or one.where != other.where):
        places = f"({one.where}) and ({other.where})" if one and other else "not on both sides"
        remedy = "Run `edgec bench` on both, on the same machine and with the same threads."
        raise BadOption(f"max_slowdown: times were measured {places}", remedy=remedy)
    beyond = ""
    if limit is not None and one is not None and other is not None:
        slower = min(other.median / one.median, other.minimum / one.minimum) - 1
        beyond = f"{slower:.1%} slower, accepted {limit:.1%}" if slower > limit else ""
    return [
        Change("time, median", one.median if one else None, other.median if other else None, "ms", beyond),
        Change("time, minimum", one.minimum if one else None, other.minimum if other else None, "ms"),
    ]


def _refusal_rows(before: Figures, after: Figures) -> list[Change]:
    if before.refused is None or after.refused is None:
        return []
    more = [each for each in after.refused if each not in before.refused]
    beyond = f"newly refused: {'; '.join(more)}" if more else ""
    return [Change("refused nodes", len(before.refused), len(after.refused), beyond=beyond)]


def _notes(before: Figures, after: Figures) -> tuple[str, ...]:
    notes = []
    if before.metrics and after.metrics and before.data != after.data:
        notes.append(f"The metrics were measured on {before.data} and on {after.data}: they cannot be compared.")
    if before.times and after.times and before.times.where != after.times.where:
        places = f"({before.times.where}) and ({after.times.where})"
        notes.append(f"The times were measured under different conditions, {places}: they cannot be compared.")
    return (*notes, *_kernel_notes(before, after))


def _kernel_notes(before: Figures, after: Figures) -> list[str]:
    """Say whose times changed most, of kernels that were measured alike."""
    if not before.kernels or not after.kernels or before.kernels_where != after.kernels_where:
        return []
    pairs = {name: (before.kernels.get(name, 0.0), after.kernels.get(name, 0.0)) for name in before.kernels}
    pairs |= {name: (0.0, ms) for name, ms in after.kernels.items() if name not in pairs}
    least = WORTH_TELLING * sum(before.kernels.values())
    changed = [(name, old, new) for name, (old, new) in pairs.items() if abs(new - old) >= least]
    most = sorted(changed, key=lambda each: -abs(each[2] - each[1]))[:MOST_TOLD]
    if not most:
        return []
    told = "; ".join(f"{name} {old:.3f} to {new:.3f} ms" for name, old, new in most)
    return [f"Kernels whose time changed most, by their first ONNX node: {told}."]


def shown(value: float | None, unit: str) -> str:
    """Return a figure as text."""
    if value is None:
        return "unknown"
    if unit == "MiB":
        return f"{value / 2**20:.2f} MiB"
    if unit == "M":
        return f"{value / 1e6:,.1f} M"
    if unit == "ms":
        return f"{value:.2f} ms"
    return f"{value:.2e}" if unit else f"{value:.4g}"


def change(row: Change) -> str:
    """Return the change of a figure as text."""
    return "" if row.relative is None else f"{row.relative:+.1%}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'")


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
