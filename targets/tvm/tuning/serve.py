"""TVM's own tracker and board server, as `edgec tune --serve` and `edgec board` start them."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

from edgec.errors import BadOption, MissingDependency
from edgec.extras import install
from edgec.targets.tvm.wheels import installed_versions

PORTS = (9190, 9199)
"""First and last port that the tracker tries."""
BOARD_PORTS = (9090, 9189)
PACKAGES = ("cloudpickle", "psutil", "tornado")
"""Packages that TVM's processes and tracker need besides TVM."""


@dataclass(frozen=True)
class Tracker:
    """Address of TVM's tracker, and the key under which boards of one kind are registered there."""

    host: str
    port: int
    key: str


def require_packages() -> None:
    """Raise an error if a required package is not installed.

    Raises:
        MissingDependency: Names the package.
    """
    installed_versions()
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        problem = f"tuning needs the package {missing[0]}, which is not installed"
        raise MissingDependency(problem, remedy=install("tvm"))


def parse_tracker(text: str, key: str) -> Tracker:
    """Return the tracker at `HOST:PORT`.

    Raises:
        BadOption: It is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise BadOption(
            f"--tracker {text!r} is not of the form HOST:PORT", remedy="Give one such as 192.168.1.10:9190."
        )
    return Tracker(host, int(port), key)


def start_tracker(host: str, port: int | None) -> tuple[object, int]:
    """Start TVM's tracker; return it, alive until its `terminate`, and its port.

    Raises:
        BadOption: No port is free.
    """
    from tvm.rpc import tracker as tvm_tracker  # noqa: PLC0415

    class AnywhereTracker(tvm_tracker.Tracker):  # type: ignore[misc]
        """Can be ended on any address, even if it never listened: TVM's own stops the tracker on 127.0.0.1."""

        proc: Any

        def terminate(self) -> None:
            if self.proc:
                self.proc.kill()
                self.proc = None

    first, last = (port, port) if port else PORTS
    try:
        tracker = AnywhereTracker(host, first, last + 1, silent=True)
    except (OSError, ValueError) as error:
        raise BadOption(f"the tracker cannot listen: {last_line(error)}", remedy="Give another --port.") from error
    return tracker, int(tracker.port)


def start_board(tracker: Tracker, host: str, threads: int | None) -> object:
    """Start TVM's server, which serves clients of `tracker`; it is alive until its `terminate`.

    Args:
        tracker: Where this board is registered; after a restart of the tracker, the server registers again.
        host: Address to listen on.
        threads: Number of cores that a network may use; default: all.

    Raises:
        BadOption: No port is free.
    """
    # TVM's default on x86 is half of the cores; clients may choose fewer than this.
    if threads is not None or "TVM_NUM_THREADS" not in os.environ:
        os.environ["TVM_NUM_THREADS"] = str(threads or len(os.sched_getaffinity(0)))
    from tvm.rpc.server import Server  # noqa: PLC0415

    address = (tracker.host, tracker.port)
    try:
        return Server(host, *BOARD_PORTS, tracker_addr=address, key=tracker.key, silent=True)
    except (OSError, ValueError) as error:
        remedy = f"Free one of the ports from {BOARD_PORTS[0]} on."
        raise BadOption(f"the board cannot listen: {last_line(error)}", remedy=remedy) from error


def last_line(error: Exception) -> str:
    """Return the last line of a TVM error, which follows its traceback; the error's type if there is none."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def until_stopped(process: Any) -> None:
    """Wait until Ctrl-C or SIGTERM, then end a tracker or server."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        process.proc.join()
    except KeyboardInterrupt:
        pass
    finally:
        process.terminate()
