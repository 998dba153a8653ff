"""Deploys an artefact to a board over SSH: copies, builds if need be, verifies and measures it, fetches the result."""

from __future__ import annotations

import asyncio
import os
import posixpath
import re
import shlex
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgec.artefact.artefact import Artefact
from edgec.artefact.board_records import BoardResult
from edgec.artefact.board_result import LONGEST_RESULT, import_result, import_run
from edgec.artefact.device import Device
from edgec.artefact.files import MANIFEST, SIGNATURE, SUMS
from edgec.errors import BadOption, CannotRunHere, MissingDependency, reason
from edgec.extras import install
from edgec.plain_file import hash_file
from edgec.scratch import temporary_folder

if TYPE_CHECKING:
    import asyncssh

Listener = Callable[[str], None]
SCRIPT, RUNNER, RESULT = "build.sh", "edgec-run", "result.json"
TRIED = {SCRIPT: "--debug", RUNNER: "--self-test"}
"""Options with which a program tells on the board what is wrong."""
WARMUP = 10
ROOT = "edgec"
"""Folder in the user's home on the board that contains the artefacts, by their names."""
CONNECT_SECONDS = 20
TAIL = 6
LONGEST_HASHES = 1 << 22
"""Bytes of the list of hashes of an artefact on the board; real ones have some thousand."""
LONGEST_LINE = 1 << 16
"""Maximum number of bytes of a line of the board's output."""


def require_client() -> None:
    """Check, before any long work, that boards can be reached from this machine.

    Raises:
        MissingDependency: asyncssh is not installed.
    """
    try:
        import asyncssh  # noqa: F401, PLC0415  # optional
    except ImportError as error:
        raise MissingDependency("--device needs asyncssh", remedy=install("ssh")) from error


def deploy(artefact: Artefact, device: Device, listener: Listener | None = None, *, runs: int = 100) -> BoardResult:
    """Copy `artefact` to `device`, verify and measure it there, and store the result in its evidence.

    An artefact with a script builds its engine first; one of a CPU board runs as it is, by its `edgec-run`. Files with
    the right hash are not copied again, and an engine that is up to date is not built again. So a second call continues
    where the first one was interrupted.

    Args:
        artefact: Artefact with a script or a program for the board.
        device: The board; its host key must be known, and it must accept one of the user's keys.
        listener: Called with each step, and with each line that the board prints.
        runs: Number of inferences that are timed.

    Raises:
        BadOption: The artefact has neither.
        CannotRunHere: The board cannot be reached or refuses the login, or something fails on it.
        MissingDependency: asyncssh is not installed.
    """
    program = next((name for name in (SCRIPT, RUNNER) if (artefact.folder / name).is_file()), None)
    if program is None:
        remedy = "Copy the folder to the board, and run it there as its README.txt says."
        raise BadOption(f"{artefact.folder} has neither {SCRIPT} nor {RUNNER}: nothing can be run there", remedy=remedy)
    require_client()
    with temporary_folder() as folder:
        path = folder / RESULT
        with _as_errors(device):
            machine = asyncio.run(_deploy(artefact, device, program, listener or (lambda step: None), runs, path))
        return import_result(artefact, path) if program == SCRIPT else import_run(artefact, path, machine)


async def _deploy(
    artefact: Artefact, device: Device, program: str, listener: Listener, runs: int, result: Path
) -> dict[str, str]:
    """Write what `program` measured on the board to `result`; return what the board says of itself."""
    import asyncssh  # noqa: PLC0415

    listener(f"connect to {device}")
    known: dict[str, Any] = {"username": device.user, "port": device.port}
    options = {name: value for name, value in known.items() if value is not None}
    async with asyncssh.connect(device.host, connect_timeout=CONNECT_SECONDS, **options) as connection:
        place = posixpath.join(ROOT, Path(os.path.realpath(artefact.folder)).name)
        async with connection.start_sftp_client() as sftp:
            await _copy(artefact, place, connection, sftp, listener)
            if await sftp.exists(posixpath.join(place, RESULT)):
                await sftp.remove(posixpath.join(place, RESULT))  # it is of an earlier run
            said = await _run(_command(place, program, runs), connection, listener)
            if not await sftp.exists(posixpath.join(place, RESULT)):
                raise CannotRunHere(
                    "\n  ".join([f"{device}: {program} gave no result", *said[-TAIL:]]),
                    remedy=f"Try it there: {device.ssh} {place}/{program} {TRIED[program]}",
                )
            async with sftp.open(posixpath.join(place, RESULT), "rb") as file:
                content = await file.read(LONGEST_RESULT + 1)  # the reader refuses a longer one
            result.write_bytes(content if isinstance(content, bytes) else content.encode())
        return await _machine(connection)


def _command(place: str, program: str, runs: int) -> str:
    """Return the command line that writes the result."""
    folder = shlex.quote(place)
    if program == SCRIPT:
        return f"exec {folder}/{SCRIPT} --runs {runs}"
    # It exits with 1 if the outputs differ, which is a result, too.
    run = f"./{RUNNER} --self-test --warmup {WARMUP} --runs {runs} --json > {RESULT}.part"
    return f"cd {folder} && {{ {run}; [ $? -le 1 ] && mv {RESULT}.part {RESULT}; }}"


async def _machine(connection: asyncssh.SSHClientConnection) -> dict[str, str]:
    """Return the board's system and, where its device tree names one, its model."""
    command = r"uname -srm; cat /proc/device-tree/model 2>/dev/null | tr -d '\000'"
    async with connection.create_process(command, encoding=None) as process:
        said = await process.stdout.read(LONGEST_LINE)
    lines = [_plain(line) for line in said.decode("utf-8", "replace").splitlines()]
    return {name: line for name, line in zip(("system", "model"), lines, strict=False) if line}


async def _copy(
    artefact: Artefact, place: str, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, tell: Listener
) -> None:
    """Copy the files whose hash differs there; each one under a temporary name, so that no file is ever incomplete."""
    entries, folder = artefact.manifest.files, artefact.folder
    beside = [name for name in (MANIFEST, SUMS, SIGNATURE) if (folder / name).exists()]
    wanted = {entry.path: entry.sha256 for entry in entries} | {name: hash_file(folder / name) for name in beside}
    executable = {entry.path for entry in entries if entry.executable}
    there = await _hashes(place, connection)
    missing = [path for path, digest in wanted.items() if there.get(path) != digest]
    total, done = sum((folder / path).stat().st_size for path in missing), 0
    for path in missing:
        target, part = posixpath.join(place, path), posixpath.join(place, path + ".part")

        def progress(source: bytes, destination: bytes, copied: int, size: int, done: int = done) -> None:
            tell(f"copy {len(missing)} of {len(wanted)} files, MiB {(done + copied) >> 20}/{total >> 20}")

        await sftp.makedirs(posixpath.dirname(target), exist_ok=True)
        await sftp.put(str(folder / path), part, progress_handler=progress)
        await sftp.chmod(part, 0o755 if path in executable else 0o644)
        await sftp.posix_rename(part, target)
        done += (folder / path).stat().st_size


async def _hashes(place: str, connection: asyncssh.SSHClientConnection) -> dict[str, str]:
    """Return the hashes of the files that lie there.

    Raises:
        CannotRunHere: The board says more than `LONGEST_HASHES` of them.
    """
    command = f"cd {shlex.quote(place)} 2>/dev/null && find . -type f -exec sha256sum {{}} +"
    said = b""
    async with connection.create_process(command, encoding=None) as process:
        while piece := await process.stdout.read(LONGEST_LINE):
            said += piece
            if len(said) > LONGEST_HASHES:
                connection.abort()
                remedy = f"Look at what lies there: {ROOT}/ in the user's home."
                raise CannotRunHere(f"the board lists files in {place} without end", remedy=remedy)
    lines = said.decode("utf-8", "replace").splitlines()
    return {path: digest for digest, _, path in (line.partition("  ./") for line in lines)}


async def _run(command: str, connection: asyncssh.SSHClientConnection, listener: Listener) -> list[str]:
    """Run `command`, pass each line that it prints to `listener`, and return the last lines.

    It runs in a terminal: if the connection ends, by Ctrl-C or by an error, all that it started ends too.
    """
    lines: deque[str] = deque(maxlen=TAIL)
    how: dict[str, Any] = {"term_type": "dumb", "stderr": asyncio.subprocess.STDOUT, "encoding": None}
    async with connection.create_process(command, **how) as process:
        async for line in _lines(process.stdout):
            lines.append(line)
            listener(line)
        await process.wait()
    return list(lines)


async def _lines(stream: asyncssh.SSHReader[bytes]) -> AsyncIterator[str]:
    """Yield the lines of `stream`, whatever bytes they contain; very long lines are split."""
    rest = b""
    while piece := await stream.read(LONGEST_LINE):
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield _plain(line.decode("utf-8", "replace"))
    if rest:
        yield _plain(rest.decode("utf-8", "replace"))


def _plain(line: str) -> str:
    """Return a line without terminal control characters."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", line).rstrip()


@contextmanager
def _as_errors(device: Device) -> Iterator[None]:
    """Turn errors of the connection into an error that says what to do."""
    import asyncssh  # noqa: PLC0415

    try:
        yield
    except asyncssh.HostKeyNotVerifiable as error:
        remedy = f"Log in once by hand ({device.ssh}) and compare the fingerprint; a changed key may be an attack."
        raise CannotRunHere(f"{device}: its host key is not known ({error.reason})", remedy=remedy) from error
    except asyncssh.PermissionDenied as error:
        remedy = f"Authorize one of your keys: {device.ssh.replace('ssh', 'ssh-copy-id', 1)}"
        raise CannotRunHere(f"{device}: it accepts none of your SSH keys", remedy=remedy) from error
    except (TimeoutError, asyncio.TimeoutError, socket.gaierror, ConnectionError) as error:
        why = str(error) or f"no answer in {CONNECT_SECONDS} s"
        remedy = f"Check that it is on and runs sshd: {device.ssh}. Files that were copied or built are used again."
        raise CannotRunHere(f"{device} cannot be reached: {why}", remedy=remedy) from error
    except asyncssh.SFTPError as error:
        remedy = "Free some space there, or correct the permissions; what was copied already is used again."
        raise CannotRunHere(f"{device}: copying failed: {error.reason}", remedy=remedy) from error
    except (asyncssh.Error, OSError) as error:
        remedy = "Run the same command again: what was copied and built is used again."
        raise CannotRunHere(f"{device}: the connection broke: {reason(error)}", remedy=remedy) from error
