"""The `edgec` command: one file per command; this file turns an `EdgecError` into a message and an exit code."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from edgec.cli import (
    bench,
    board,
    calibrate,
    check,
    compare,
    compile,
    deploy,
    doctor,
    eval,
    explore,
    import_result,
    init,
    inspect,
    matrix,
    prune,
    quantize,
    recover,
    report,
    run,
    sensitivity,
    serve,
    targets,
    tune,
    verify,
)
from edgec.cli.console import limited, stderr
from edgec.errors import EdgecError, refused_path

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
RESUMED = {"calibrate", "compile", "deploy", "explore", "matrix", "prune", "recover", "sensitivity", "tune"}
"""Commands whose long work is kept as it comes."""

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    init,
    compile,
    check,
    calibrate,
    quantize,
    prune,
    recover,
    sensitivity,
    targets,
    inspect,
    run,
    serve,
    verify,
    bench,
    eval,
    compare,
    explore,
    matrix,
    report,
    deploy,
    import_result,
    tune,
    board,
    doctor,
):
    app.command()(limited(module.command))
    app.registered_commands[-1].name = module.__name__.rpartition(".")[2].replace("_", "-")


START = """\
edgec compiles a trained ONNX model for an edge board, and compares the result with ONNX Runtime.

Do these things first:

  edgec doctor                              See what is installed, and how to get what is missing.
  edgec init MODEL.onnx                     Write settings for your model, with comments, into edgec.toml.
  edgec check MODEL.onnx --target rpi4      See whether a board can run your model; `edgec targets` lists the boards.
  edgec compile MODEL.onnx --target host    Make an artefact for this machine, run it, and compare it.

`edgec --help` lists all commands, `edgec COMMAND --help` explains one."""


def _print_version(wanted: bool) -> None:
    if wanted:
        import edgec

        print(f"edgec {edgec.__version__}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Deployment compiler for vision networks on edge boards."""
    if context.invoked_subcommand is None:
        print(START)


compile_app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})
compile_app.command()(limited(compile.command))


def main() -> None:
    """Entry point of `edgec`. Exit codes: 0 success, 1 a check failed or edgec has a bug, 2 the user can correct it."""
    _guarded(app)


def compile_main() -> None:
    """Entry point of `compile`, the same as `edgec compile`."""
    _guarded(compile_app)


class _Warnings(logging.Handler):
    """Prints the warnings in the log of `edgec` on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        stderr.print(f"warning: {record.getMessage()}", highlight=False, markup=False, soft_wrap=True)


def _interrupt_again(ignored: sys.UnraisableHookArgs) -> None:
    """Repeat an interrupt that arrived in a callback of Python itself, where it would be printed and forgotten."""
    if ignored.exc_type is KeyboardInterrupt:
        threading.Timer(0.01, signal.raise_signal, (signal.SIGINT,)).start()
    else:
        sys.__unraisablehook__(ignored)


def _guarded(entry: Callable[[], None]) -> None:
    before, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    log, warnings = logging.getLogger("edgec"), _Warnings(logging.WARNING)
    if "--json" not in sys.argv:
        log.addHandler(warnings)
    try:
        entry()
    except EdgecError as error:
        _tell(error)
    except SystemExit as stop:
        if stop.code == INTERRUPTED and RESUMED & set(sys.argv[1:2]):
            stderr.print("Interrupted. The same command continues where it stopped.", highlight=False)
        raise
    except BrokenPipeError:  # the reader of the output is gone, e.g. `edgec targets | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        refused = refused_path(error)
        if refused is None:
            raise
        _tell(refused)
    finally:
        sys.unraisablehook = before
        log.removeHandler(warnings)


def _tell(error: EdgecError) -> NoReturn:
    """Print an error on stderr, and end with its exit code."""
    if "--json" in sys.argv:
        print(json.dumps({"error": error.problem, "remedy": error.remedy}), file=sys.stderr)
    else:
        stderr.print(Text.assemble(("error", "bold red"), ": ", error.problem), highlight=False, soft_wrap=True)
        if error.remedy:
            stderr.print(error.remedy, highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)
