"""`print_compression`: cost and gain of each step of a compression, and its loss."""

from __future__ import annotations

from edgec.cli.console import mebibytes, stdout
from edgec.record import Compression


def print_compression(compression: Compression) -> None:
    """Print the cost and gain of each step, and the loss on the held-out samples."""
    from rich.table import Table

    from edgec.evaluation.task import describe_loss

    table = Table("step", "MACs", "weights", "time*", "loss", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    first = compression.steps[0]
    for step in compression.steps:
        time = "" if step.seconds is None or not first.seconds else f"{step.seconds / first.seconds:.0%}"
        macs, loss = f"{step.macs / 1e6:,.1f} M", "" if step.loss is None else f"{step.loss:.4f}"
        table.add_row(step.name, macs, mebibytes(step.weight_bytes), time, loss)
    stdout.print(table)
    known = "of the original's, as edgec estimates it for the board" if first.seconds else "no estimate for this board"
    stdout.print(f"* {known}", highlight=False)
    last = compression.steps[-1].loss
    if compression.loss is None and last is not None and len(compression.steps) > 1:
        told = describe_loss(compression.metric, last)
        stdout.print(f"{told}, on {compression.decided_on} samples", highlight=False, soft_wrap=True)
    if compression.loss is not None and compression.before is not None and compression.after is not None:
        change = f"{compression.before:.4f} to {compression.after:.4f}, a loss of {compression.loss:.4f}"
        where = f"on {compression.held_out} held-out samples ({compression.decided_on} others were used for decisions)"
        accepted = "" if compression.accepted is None else f"; accepted {compression.accepted:g}"
        stdout.print(f"{compression.metric} {change} {where}{accepted}", highlight=False, soft_wrap=True)
