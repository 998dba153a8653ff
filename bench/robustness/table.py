"""The table of docs/reliability.md, from the results that are kept: python bench/robustness/table.py."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from campaign import Tally, read_tallies

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results.json", HERE.parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- made by bench/robustness/table.py -->\n", "<!-- until here -->\n"


def table() -> str:
    """Return it in Markdown, a row a script."""
    rows = ["| script | what it does | cases run | odd |", "| --- | --- | --- | --- |"]
    for script, kinds in sorted(read_tallies(RESULTS).items()):
        rows.append(f"| `{script}.py` | {_purpose(script)} | {_ran(kinds)} | {_odd(list(kinds.values()))} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """Return the page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _purpose(script: str) -> str:
    document = ast.get_docstring(ast.parse((HERE / f"{script}.py").read_text(encoding="utf-8"))) or ""
    return document.partition("\n")[0].removesuffix(".")


def _ran(kinds: Mapping[str, Tally]) -> str:
    """Return how many cases of each kind were run; of mutants, how many of each precision were told."""
    if not any("told" in tally.ended for tally in kinds.values()):
        return ", ".join(f"{kind} {tally.cases:,}" for kind, tally in kinds.items())
    told, different = Counter[str](), Counter[str]()
    for kind, tally in kinds.items():
        group = kind.partition("-")[0] + " compiled" * kind.endswith("-compiled")
        told[group] += tally.ended["told"]
        different[group] += tally.ended["told"] + tally.ended["not told"]
    return ", ".join(f"{group}: {told[group]} of {different[group]} told" for group in sorted(different))


def _odd(tallies: list[Tally]) -> str:
    odd, mended = sum(len(tally.odd) for tally in tallies), sum(tally.mended for tally in tallies)
    return f"{odd}; {mended} before a change" if mended else str(odd)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
