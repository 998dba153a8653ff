"""A board reached by SSH on this machine: asyncssh's server in a thread, or a real sshd where there is one.

Commands run in a folder that stands in for the user's home, with the stand-ins for TensorRT and CUDA.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from tests.support.tensorrt_board import board_environment

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")


@dataclass
class SshBoard:
    """Where it listens, its home, and the environment of what runs on it; change `environment` to set faults."""

    home: Path
    port: int
    environment: dict[str, str]
    commands: list[str] = field(default_factory=list)
    answer: Callable[[str], Iterable[bytes] | None] = lambda command: None
    """What is sent in place of running a command; None: it is run. The server in the thread only."""
    hang_up: bool = False
    """Close the connection instead of running the script; the server in the thread only."""

    @property
    def url(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"


def keys_for(client_home: Path, host_key: asyncssh.SSHKey, port: int) -> asyncssh.SSHKey:
    """Write the client's key and known_hosts under `client_home`; return its key."""
    folder = client_home / ".ssh"
    folder.mkdir(mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(folder / "id_ed25519"))
    public = host_key.export_public_key().decode().strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    return key


@contextmanager
def asyncssh_board(home: Path, client_home: Path) -> Iterator[SshBoard]:
    """Yield a board served by asyncssh in a thread."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    board = SshBoard(home, _free_port(), _environment(home))
    client_key = keys_for(client_home, host_key, board.port)
    allowed = asyncssh.import_authorized_keys(client_key.export_public_key().decode())

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        board.commands.append(command)
        if board.hang_up and "build.sh" in command:
            process.channel.get_connection().abort()
            return
        instead = board.answer(command)
        if instead is not None:
            for piece in instead:
                process.stdout.write(piece)
                await process.stdout.drain()
            process.exit(0)
            return
        child = await asyncio.create_subprocess_shell(
            command, cwd=home, env=board.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert child.stdout is not None
        async for line in child.stdout:
            process.stdout.write(line)
        process.exit(await child.wait())

    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> asyncssh.SSHAcceptor:
        server = await asyncssh.listen(
            "127.0.0.1",
            board.port,
            server_host_keys=[host_key],
            authorized_client_keys=allowed,
            process_factory=run,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(home).encode()),
            encoding=None,
        )
        ready.set()
        return server

    def work() -> None:
        server = loop.run_until_complete(serve())
        loop.run_forever()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield board
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@contextmanager
def sshd_board(home: Path, client_home: Path, **environment: str) -> Iterator[SshBoard]:
    """Yield a board served by OpenSSH's sshd, as this user; skip the test where it is not installed.

    `environment` is for the stand-ins, and cannot be changed later.
    """
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if sshd is None or not SFTP_SERVER.exists():
        pytest.skip("no sshd here: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it insists, as root
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    board = SshBoard(home, _free_port(), _environment(home) | environment)
    client_key = keys_for(client_home, host_key, board.port)
    settings = home.parent / "sshd"
    settings.mkdir()
    host_key.write_private_key(str(settings / "host_key"))
    (settings / "host_key").chmod(0o600)
    client_key.write_public_key(str(settings / "authorized_keys"))
    (settings / "shell").write_text(_shell(board))
    (settings / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {board.port}\nHostKey {settings}/host_key\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {settings}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
        f"Subsystem sftp {SFTP_SERVER}\nForceCommand sh {settings}/shell\n"
    )
    process = subprocess.Popen([sshd, "-D", "-e", "-f", str(settings / "config")], stderr=subprocess.PIPE)
    try:
        _wait_for(board.port, process)
        yield board
    finally:
        process.terminate()
        process.wait(20)


def _shell(board: SshBoard) -> str:
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in board.environment.items())
    return (
        f"cd {shlex.quote(str(board.home))}\n{exports}"
        f'case "$SSH_ORIGINAL_COMMAND" in *sftp-server) exec {SFTP_SERVER};; esac\n'
        'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    board = {name: value for name, value in board_environment("jetson-tx2").items() if name not in os.environ}
    changed = {name: board_environment("jetson-tx2")[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    return kept | board | changed | {"HOME": str(home), "PYTHON": sys.executable}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    process.kill()
    said = process.communicate()[1].decode()
    pytest.skip(f"sshd does not start here: {said.strip()}")
