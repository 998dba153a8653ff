"""`edgec tune`: measures schedules for a network's layers, on this machine or on boards; merges databases, serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import parse_duration, parse_shapes
from edgec.cli.console import LOOPBACK, Json, Quiet, Threads, check_drawing, print_json, stderr, stdout
from edgec.errors import BadOption
from edgec.progress import Listener

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgec.targets.tvm.tuning.search import Tuning
    from edgec.targets.tvm.tuning.task import Task

MERGE = "merge"
SHOWN = 12
"""Number of layers in the table during tuning: those that take longest."""


def command(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL.onnx | merge DB DB...",
            help="ONNX model to tune; or `merge` and the databases to merge into --output.",
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target", "-t", autocompletion=completion.boards, help="CPU board to tune for; `host` is this machine."
        ),
    ] = "host",
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Database of measurements; those it already contains are not repeated."),
    ] = (Path("tune.db")),
    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the tracker (`edgec tune --serve`), needed for every board but `host`.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Name under which the boards are registered at the tracker; default: the target.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of candidates that are measured per layer.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="30m", help="Time after which tuning stops: 90s, 30m, 2h; default: 10m, or none with --trials."
        ),
    ] = None,
    shape: options.Shape = [],  # noqa: B006
    precision: Annotated[
        str, typer.Option(autocompletion=completion.precisions, help="Precision in which the model will be compiled.")
    ] = "fp32",
    threads: Threads = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the gain of each layer into this .svg or .png file.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Run the tracker at which boards register.")] = False,
    host: Annotated[str, typer.Option(help="Address on which the tracker listens; 0.0.0.0 stands for all.")] = LOOPBACK,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the tracker; default: the first free port from 9190 on."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Tune MODEL.onnx for a CPU board. It may be stopped at any time; the next run then continues.

    edgec tune MODEL.onnx -t rpi4 --tracker HOST:PORT -o tune.db, then edgec compile MODEL.onnx -t rpi4 --tuned tune.db
    """
    words = model or []
    if serve:
        _serve(host, port)
    elif words[:1] == [MERGE]:
        _merge([Path(word) for word in words[1:]], output)
    elif len(words) != 1:
        raise typer.BadParameter("give one model", param_hint="MODEL.onnx")
    else:
        from edgec import tune

        check_drawing(plot)
        where: dict[str, Any] = {"target": target, "tracker": tracker, "key": key, "shapes": parse_shapes(shape)}
        limits: dict[str, Any] = {"trials": trials, "seconds": parse_duration(time, "--time") if time else None}
        how: dict[str, Any] = {"precision": precision, "threads": threads, **where, **limits}
        try:
            with _shown(silent=quiet or json) as (listener, watch):
                done = tune(words[0], database=output, progress=listener, watch=watch, **how)
        except KeyboardInterrupt:
            stderr.print(
                f"Stopped: {output} keeps what was measured, and the same command continues from there.",
                highlight=False,
            )
            raise typer.Exit(130) from None
        if json:
            print_json(_said(done))
        else:
            stdout.print(_table(done.tasks))
            stdout.print(_summary(done, output), highlight=False, soft_wrap=True)
        if plot is not None:
            from edgec.targets.tvm.tuning.plot import draw_gains

            draw_gains(done.tasks, plot)


def _serve(host: str, port: int | None) -> None:
    import ipaddress
    import socket

    from edgec.targets.tvm.tuning.serve import require_packages, start_tracker, until_stopped

    require_packages()
    tracker, found = start_tracker(host, port)
    alone = ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    others = "On each board, with edgec and its extra `tvm`:"
    boards = "On this machine (--host 0.0.0.0 admits others):" if alone else others
    stdout.print(f"The tracker listens on port {found}; press Ctrl-C to stop it. {boards}", highlight=False)
    name, listening = (host, "") if alone else (socket.gethostname(), " --host 0.0.0.0")
    line = f"edgec board --tracker {name}:{found} --key KEY{listening}"
    stdout.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)
    until_stopped(tracker)


def _merge(sources: list[Path], output: Path) -> None:
    from edgec.targets.tvm.tuning.database import merge

    if not sources:
        raise BadOption("merge: no database is given", remedy="Give them: edgec tune merge a.db b.db -o all.db")
    stdout.print(f"{output}: {merge(sources, output)} measurements", highlight=False, soft_wrap=True)


@contextmanager
def _shown(*, silent: bool) -> Iterator[tuple[Listener, Callable[[Tuning], None]]]:
    """Yield a listener for the stages before the search, and a function that shows the progress of the search."""
    if silent:
        yield lambda stage: None, lambda done: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=stderr, transient=True, auto_refresh=False) as live:
        yield (
            lambda stage: live.update(Text(stage), refresh=True),
            lambda done: live.update(_live(done), refresh=True),
        )


def _live(done: Tuning) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    left = "" if done.left_s is None else f", {done.left_s / 60:.0f} min left"
    tuned = done.seconds * done.ratio
    speed = f"{done.seconds * 1e3:.3g} ms untuned, {tuned * 1e3:.3g} ms so far ({1 / done.ratio:.2f}x)"
    head = Text(f"{speed}; {done.trials} trials, {done.stage}{left}")
    return Group(head, _table([task for task in done.tasks if not task.reason][:SHOWN]))


def _table(tasks: list[Task]) -> RenderableType:
    from rich.table import Table

    table = Table("layer", "share of time", "untuned, us", "tuned, us", "gain", "measured", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    table.columns[0].overflow = "fold"
    for task in tasks:
        ratio = task.best[0]
        looked = task.reason or f"{task.looked_at} of {task.allowed}"
        times = (f"{task.seconds * 1e6:.1f}", f"{task.seconds * ratio * 1e6:.1f}" if ratio < 1 else "")
        table.add_row(task.workload.key, f"{task.share:.1%}", *times, f"{1 / ratio:.2f}x" if ratio < 1 else "", looked)
    return table


def _summary(done: Tuning, output: Path) -> str:
    changed = sum(task.best[0] < 1 for task in done.tasks)
    gained = f"{done.seconds * 1e3:.3f} ms untuned, {done.seconds * done.ratio * 1e3:.3f} ms tuned"
    return f"{gained} ({1 / done.ratio:.2f}x), {changed} layers; compile with --tuned {output}"


def _said(done: Tuning) -> dict[str, Any]:
    """Return the data that `--json` prints."""
    layers = [
        {
            "workload": task.workload.key,
            "share": task.share,
            "seconds": task.seconds,
            "ratio": task.best[0],
            "choice": task.best[1].as_json(),
            "looked_at": task.looked_at,
            "reason": task.reason,
        }
        for task in done.tasks
    ]
    return {"seconds": done.seconds, "ratio": done.ratio, "trials": done.trials, "layers": layers}
