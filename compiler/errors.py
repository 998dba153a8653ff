"""Errors of edgec: the user can correct an `EdgecError`, which says how; an `InternalError` is a bug of edgec."""

from __future__ import annotations

import errno
import os
import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


OF_PATHS = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}
)
UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""pydantic's types of an error for a field that a record does not have."""
EXPECTED = "Input should "
"""Beginning of pydantic's sentences about a value of a wrong type or outside its range."""
LONGEST_PATH = 200
"""Letters of a path in a message."""


class EdgecError(Exception):
    """Something the user can correct; it is shown as one message without traceback.

    Args:
        problem: What is wrong, naming the file, node, tensor or option at fault and its value.
        remedy: What to do about it, one sentence.
    """

    exit_code = 2

    def __init__(self, problem: str, *, remedy: str | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(problem if remedy is None else f"{problem}\n{remedy}")


class BadModel(EdgecError):
    """The model file cannot be read, or is not valid ONNX."""


class CannotRunInputs(BadModel):
    """A node of the model cannot compute its result from these inputs: their values, or their shapes, decide."""


class UnsupportedModel(EdgecError):
    """The model is valid ONNX, but the chosen target cannot run it; the message names operator and node."""


class BadOption(EdgecError):
    """An option, its value or a settings file is wrong."""


class BadArtefact(EdgecError):
    """An artefact folder is incomplete, was altered, or comes from a newer edgec."""


class CannotRunHere(EdgecError):
    """The artefact is sound, but this machine is not its board and nothing here can emulate it."""


class MissingDependency(EdgecError):
    """An optional package or tool is needed; the remedy is the command that installs it."""


class VerificationFailed(EdgecError):
    """The artefact runs, but its outputs differ from the reference by more than the tolerance."""

    exit_code = 1


class InternalError(Exception):
    """A bug in edgec, never the user's fault; the message names the pass or step that broke its contract."""


def refused_path(error: OSError) -> BadOption | None:
    """Return what to tell where the system refuses a path; None where the error may be another's fault."""
    if error.errno not in OF_PATHS or error.filename is None:
        return None
    path = str(os.fsdecode(error.filename))
    shown = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}... ({len(path)} letters)"
    return BadOption(f"{shown}: {error.strerror}", remedy="Give another path, or correct this one.")


def first_problem(error: ValidationError, source: str = "") -> str:
    """Return what is wrong with the first field of a record that pydantic rejects; `source` is where it comes from."""
    first = error.errors()[0]
    key, said = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
    if first["type"] in UNKNOWN:
        said, key = f"unknown setting {key!r}", ""
    field = ": ".join(filter(None, (source, key)))
    if first["type"] == "missing":
        return f"{field} is missing"
    if said.startswith(EXPECTED):
        wanted = said.removeprefix(EXPECTED).partition(", unable")[0]
        return f"{field} must {wanted}, but is {reprlib.repr(first['input'])}"
    return f"{field}: {said}" if field else said


def reason(error: Exception) -> str:
    """Return what went wrong, in words alone: of an error of the system without its number and its path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
