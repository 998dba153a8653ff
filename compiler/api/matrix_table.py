"""`Matrix`: what became of models on boards in precisions, as a table in several forms."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edgec import __version__
from edgec.report.template import fill

NAMES = 4
"""Number of columns with words."""


@dataclass(frozen=True)
class Cell:
    """One model on one board in one precision.

    Attributes:
        model: Name of the model's file.
        target: Name of the board.
        precision: Precision of the artefact.
        verdict: `compiled`; `refused`, with the reason; or `wrong`, if its outputs differ from ONNX Runtime's.
        reason: Why there is no artefact.
        artefact: Folder of the artefact.
        size: Size of the artefact in bytes.
        error: Largest error of an output, as a fraction of its range; None if the artefact was not run.
        metric: Name of the metric that was measured.
        value: Its value, for the artefact if this machine runs it, else for the compressed network; None if unknown.
        ms: Milliseconds of one inference; None if unknown.
        time: `measured` on this machine, `emulated` (it says nothing about the board), or `estimated` for the board.
        peers: Milliseconds of other runtimes with the same model, measured by turns with the artefact.
    """

    model: str
    target: str
    precision: str
    verdict: str
    reason: str = ""
    artefact: str = ""
    size: int | None = None
    error: float | None = None
    metric: str = ""
    value: float | None = None
    ms: float | None = None
    time: str = ""
    peers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Matrix:
    """Cells in the order of models, boards and precisions."""

    cells: tuple[Cell, ...]

    @property
    def ok(self) -> bool:
        """Whether no artefact has wrong outputs."""
        return all(cell.verdict != "wrong" for cell in self.cells)

    @property
    def peers(self) -> tuple[str, ...]:
        """Names of the peers that were measured."""
        return tuple(dict.fromkeys(name for cell in self.cells for name in cell.peers))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the cells as values that JSON can store."""
        return [asdict(cell) for cell in self.cells]

    def csv(self) -> str:
        """Return the cells as comma-separated values with a header; one column for each peer."""
        names = [each.name for each in fields(Cell) if each.name != "peers"]
        text = io.StringIO()
        table = csv.DictWriter(text, [*names, *self.peers])
        table.writeheader()
        for cell in self.cells:
            row = asdict(cell)
            table.writerow({**{name: row[name] for name in names}, **cell.peers})
        return text.getvalue()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons why cells have no artefact, each once."""
        return tuple(dict.fromkeys(cell.reason for cell in self.cells if cell.reason))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the head and the rows of the table as text; reasons are given by their number in `reasons`."""
        head = ["model", "board", "precision", "result", "MiB", "error", "metric", "ms", "time"]
        places = {reason: f" ({place})" for place, reason in enumerate(self.reasons, 1)}
        rows = [
            [
                cell.model,
                cell.target,
                cell.precision,
                cell.verdict + places.get(cell.reason, ""),
                "" if cell.size is None else f"{cell.size / 2**20:.1f}",
                "" if cell.error is None else f"{cell.error:.1e}",
                "" if cell.value is None else f"{cell.metric} {cell.value:.4f}",
                "" if cell.ms is None else f"{cell.ms:.2f}",
                cell.time,
                *(f"{cell.peers[name]:.2f}" if name in cell.peers else "" for name in self.peers),
            ]
            for cell in self.cells
        ]
        return [*head, *(f"{name}, ms" for name in self.peers)], rows

    def markdown(self) -> str:
        """Return the cells as a Markdown table, with the reasons as a list below it."""
        head, rows = self.table()
        lines = [head, ["---"] * NAMES + ["---:"] * (len(head) - NAMES), *rows]
        text = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
        notes = [f"{place}. {reason}" for place, reason in enumerate(self.reasons, 1)]
        return "\n".join([*text, *([""] if notes else []), *notes]) + "\n"

    def html(self) -> str:
        """Return the table as HTML that needs no other file and no network."""
        head, rows = self.table()
        subtitle = f"{len(self.cells)} artefacts, edgec {__version__}: {str(self)[9:-1]}"
        title = "Models, boards and precisions"
        return fill(
            "table.html.j2", title=title, subtitle=subtitle, head=head, rows=rows, names=NAMES, notes=self.reasons
        )

    def __repr__(self) -> str:
        counts = {name: sum(cell.verdict == name for cell in self.cells) for name in ("compiled", "refused", "wrong")}
        return f"<Matrix: {', '.join(f'{count} {name}' for name, count in counts.items())}>"
