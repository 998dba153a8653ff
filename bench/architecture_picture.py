"""The rooms and who may import whom, drawn from the import contracts: `python bench/architecture_picture.py`."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from edgec.plain_file import parse

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
COLUMN, ROW, BOX, GAP, MARGIN = 500, 46, 30, 12, 20
LETTER = 7.4
STYLE = (
    "text { font: 13px ui-monospace, monospace; fill: #1c2733 } .title { font-weight: 600 } "
    "rect { fill: #eef4fa; stroke: #7b93ab } .inner { fill: #f7f3e8; stroke: #b3a06a }"
)


def drawing(project: dict[str, Any]) -> str:
    """Return the picture as SVG: a column for each contract of layers, a row for each layer, what may import on top."""
    contracts = [each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    parts = []
    for number, contract in enumerate(contracts):
        left, inner = number * COLUMN, "containers" in contract
        title = f"rooms of {contract['containers'][0] if inner else 'edgec'}"
        parts.append(f'<text class="title" x="{left + COLUMN / 2}" y="{MARGIN}" text-anchor="middle">{title}</text>')
        for row, layer in enumerate(contract["layers"]):
            rooms = [name.strip().removeprefix("edgec.") for name in layer.split("|")]
            parts.extend(_row(rooms, left, MARGIN + BOX / 2 + ROW * row, inner=inner))
    width = COLUMN * len(contracts)
    height = 2 * MARGIN + ROW * max(len(contract["layers"]) for contract in contracts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _row(rooms: list[str], left: float, y: float, *, inner: bool) -> list[str]:
    widths = [LETTER * len(room) + 28 for room in rooms]
    x = left + (COLUMN - sum(widths) - GAP * (len(rooms) - 1)) / 2
    kind = ' class="inner"' if inner else ""
    parts = []
    for room, width in zip(rooms, widths, strict=True):
        parts.append(f'<rect{kind} x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{BOX}" rx="5"/>')
        parts.append(f'<text x="{x + width / 2:.1f}" y="{y + 20:g}" text-anchor="middle">{escape(room)}</text>')
        x += width + GAP
    return parts


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(drawing(parse("toml", (ROOT / "pyproject.toml").read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
