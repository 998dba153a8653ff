"""`Device`: the address of a board that can be reached by SSH."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from edgec.errors import BadOption


@dataclass(frozen=True)
class Device:
    """A board's address; `user` and `port` are None if ~/.ssh/config or the defaults decide."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def ssh(self) -> str:
        """The command line that connects to it."""
        return f"ssh {f'-p {self.port} ' if self.port else ''}{self}"


def parse_device(text: str) -> Device:
    """Parse `ssh://[user@]host[:port]`.

    Raises:
        BadOption: The text is not of that form.
    """
    remedy = "Give an address such as ssh://nvidia@192.168.55.1 or ssh://nvidia@tx2.local:2222."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadOption(f"board address {text}: {error}", remedy=remedy) from error
    if parts.scheme != "ssh" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise BadOption(f"board address {text} is not of the form ssh://[user@]host[:port]", remedy=remedy)
    if parts.password:
        raise BadOption(
            "the board address contains a password, which would stay in your shell's history", remedy="Use SSH keys."
        )
    place = parts.netloc.rpartition("@")[2]  # .hostname is lower case, but aliases of ~/.ssh/config need not be
    host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
    return Device(host, parts.username, port)
