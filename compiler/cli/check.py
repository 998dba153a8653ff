"""`edgec check`: checks every node of a model against a board."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from edgec.cli import options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, print_json, stdout


def command(
    model: options.Model,
    target: options.Target,
    shape: options.Shape = [],  # noqa: B006
    all: Annotated[
        bool, typer.Option("--all", help="List all nodes, also those that are supported without a rewrite.")
    ] = False,
    json: Json = False,
) -> None:
    """Say of every node whether the board supports it, after which rewrite, or why not.

    The exit code is 1 if a node is refused.
    """
    from edgec import check

    result = check(model, target=target, shapes=parse_shapes(shape))
    if json:
        findings = [asdict(finding) for finding in result.findings]
        print_json({"model": result.model, "target": result.board.name, "legal": result.ok, "findings": findings})
        raise typer.Exit(0 if result.ok else 1)
    table = Table("node", "operator", "verdict", "rewrite or reason", box=None, pad_edge=False)
    devices = any(finding.device for finding in result.findings)
    if devices:
        table.add_column("DLA or GPU")
    for finding in result.findings:
        if all or finding.verdict != "supported":
            reason = f"{finding.reason}. {finding.remedy}" if finding.remedy else finding.reason
            row = [finding.where, finding.op_type, finding.verdict, reason]
            table.add_row(*row, *[finding.device] * devices)
    if table.row_count:
        stdout.print(table, markup=False)
    counts = ", ".join(f"{result.counts[verdict]} {verdict}" for verdict in ("supported", "rewritten", "refused"))
    stdout.print(f"{result.model} on {result.board.name}: {counts}", highlight=False, markup=False)
    if devices:
        count = sum(finding.device == "DLA" for finding in result.findings)
        stdout.print(f"{count} of {len(result.findings)} could run on the DLA; --all says which", highlight=False)
    raise typer.Exit(0 if result.ok else 1)
