"""Failures that end the script with one message and an exit code, never with a traceback."""

from typing import List


class Failure(Exception):
    """A problem of the board, its software or the artefact; the message says how to correct it."""

    exit_code = 2


class VerificationFailure(Failure):
    """The engine runs, but its outputs differ from the golden ones."""

    exit_code = 1


def with_log(message: str, log: List[str], limit: int = 6) -> str:
    """Return `message` followed by the last `limit` lines that TensorRT logged as errors."""
    return "\n  ".join([message] + ["TensorRT: " + line.strip() for line in log[-limit:]])
