"""Shared parts of the commands: consoles, common options, progress, and checks of output files."""

from __future__ import annotations

import inspect
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from edgec.errors import BadOption
from edgec.limits import VARIABLE, parse_size
from edgec.progress import Listener, Progress

UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
LOOPBACK = "127.0.0.1"
"""Servers that run code for others listen on this machine alone, unless another address is given."""


class PlainConsole(Console):
    """Prints names and messages of any origin as plain text: neither as markup nor as terminal control sequences."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, **settings)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            part if part.control else Segment(printable(part.text), part.style) for part in buffer
        )


def printable(text: str) -> str:
    """Return `text` with `?` for terminal control characters, and for bytes of paths that are not UTF-8."""
    return UNPRINTABLE.sub("?", text)


stdout = PlainConsole()
stderr = PlainConsole(stderr=True)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result, without progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of worker threads; default: as compiled, or one for each processor.")
]
MaxMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Refuse inputs that need more memory than this, e.g. 8GiB; default: 4GiB."),
]
ArtefactFolder = Annotated[Path, typer.Argument(metavar="ARTEFACT", help="Folder written by `edgec compile`.")]


def limited(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with the additional option `--max-memory`."""

    @wraps(command)
    def with_limit(*, max_memory: str | None, **arguments: Any) -> None:
        if max_memory is not None:
            parse_size(max_memory, "--max-memory")
            os.environ[VARIABLE] = max_memory  # workers inherit it
        command(**arguments)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("max_memory", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=MaxMemory)
    parameters = [*signature.parameters.values(), option]
    with_limit.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_limit.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_limit


class PlainLines:
    """A listener that writes lines for a log: each stage when it begins, and counted parts every few seconds.

    Args:
        write: Called with each line.
        clock: Returns the time in seconds.
    """

    SECONDS = 10.0
    """Minimum time in seconds between two lines on the same counted stage."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._stage, self._told = "", 0.0

    def __call__(self, progress: Progress) -> None:
        """Write a line, or nothing if the last one was written a moment ago."""
        now = self._clock()
        if progress.stage != self._stage or now - self._told >= self.SECONDS:
            self._stage, self._told = progress.stage, now
            self._write(progress)


@contextmanager
def progress(*, silent: bool) -> Iterator[Listener]:
    """Yield a listener that shows the running stage with its time; each finished stage remains as a line.

    If standard error is not a terminal, each stage is printed as a line when it begins.
    """
    if silent:
        yield lambda progress: None
        return
    if not stderr.is_terminal:
        yield PlainLines(lambda line: stderr.print(line, highlight=False, soft_wrap=True))
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=stderr) as bar:

        def begin(progress: Progress) -> None:
            last = bar.tasks[-1] if bar.tasks else None
            if last is not None and last.fields["stage"] == progress.stage:
                bar.update(last.id, description=progress + _time_left(last, progress))
                return
            for task in bar.tasks:
                bar.update(task.id, total=1, completed=1)
            bar.add_task(progress, total=None, stage=progress.stage)

        yield begin
        for task in bar.tasks:
            bar.update(task.id, total=1, completed=1)


def _time_left(task: Task, progress: Progress) -> str:
    """Return the remaining time of a counted stage at the present pace; an empty text if that is not known yet."""
    if not progress.total or not progress.done or task.elapsed is None:
        return ""
    first = task.fields.setdefault("first", (task.elapsed, progress.done))
    done = progress.done - first[1]
    if done <= 0:
        return ""
    seconds = (task.elapsed - first[0]) / done * (progress.total - progress.done)
    return f", {seconds / 60:.0f} min left" if seconds >= 60 else ""


def check_output(path: Path | None) -> None:
    """Raise an error, before any long work, for a file that cannot be written.

    Raises:
        BadOption: Its folder does not exist or is not writable, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise BadOption(f"cannot write {path}: it is a folder", remedy="Give the name of a file.")
    if not path.parent.is_dir():
        raise BadOption(f"cannot write {path}: there is no folder {path.parent}", remedy="Create it first.")
    if not os.access(path.parent, os.W_OK):
        raise BadOption(
            f"cannot write {path}: {path.parent} is not writable", remedy="Choose a place that is writable."
        )


def check_outputs(model: Path, *outputs: Path | None) -> None:
    """Raise an error, before any long work, for files that cannot be written or would overwrite `model` or each other.

    Raises:
        BadOption: As `check_output`, or two paths are the same file.
    """
    taken = {os.path.realpath(model): "it is the model itself"}
    for path in filter(None, outputs):
        check_output(path)
        if reason := taken.get(os.path.realpath(path)):
            raise BadOption(f"cannot write {path}: {reason}", remedy="Give another name.")
        taken[os.path.realpath(path)] = "another output has that name"


def check_drawing(path: Path | None) -> None:
    """Raise an error, before any long work, for a file to which no drawing can be written.

    Raises:
        BadOption: As `check_output`, or the suffix is neither .svg nor .png.
    """
    check_output(path)
    if path is not None and path.suffix not in (".svg", ".png"):
        raise BadOption(f"{path}: drawings are written as .svg or .png", remedy="Give one of these suffixes.")


def print_json(data: Any) -> None:
    """Print `data` as JSON on standard output, for pipelines."""
    print(json.dumps(data, indent=1))


def mebibytes(size: int) -> str:
    """Return `size` in bytes as MiB text."""
    return f"{size / 2**20:.1f} MiB"
