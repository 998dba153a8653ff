"""Reading files of unknown origin: only regular files are read, up to a maximum size and nesting depth."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

from edgec.errors import MissingDependency
from edgec.extras import install

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHUNK_BYTES = 1 << 20
LONGEST_JSON = 64 << 20
"""Maximum size in bytes of a JSON file of edgec; manifests, findings and evidence of real networks have some 100 kB."""


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file. Anything else, such as a pipe or a device, could block without end.

    Raises:
        OSError: It is not a regular file, cannot be read, or is a link and `follow` is false.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal.

    Raises:
        OSError: It is not a regular file, or cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_plain(path: Path, limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: It is not a regular file, or cannot be read.
        ValueError: It has more than `limit` bytes.
    """
    with open_plain(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit >> 20} MiB")
    return content


def read_json(path: Path, limit: int = LONGEST_JSON) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: It is not a regular file, or cannot be read.
        ValueError: It is not JSON in UTF-8, has more than `limit` bytes, or is nested too deeply.
    """
    return parse("json", read_plain(path, limit).decode())


def parse(form: Literal["json", "toml", "yaml"], text: str) -> Any:
    """Return what `text` says.

    Raises:
        ValueError: It is not of that form, is nested too deeply, or is YAML with aliases.
        MissingDependency: YAML is to be read and PyYAML is missing.
    """
    parsers: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": _yaml}
    try:
        return parsers[form](text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _yaml(text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415  # an optional dependency
    except ImportError as error:
        raise MissingDependency("PyYAML is needed to read YAML", remedy=install("eval")) from error

    class Loader(yaml.SafeLoader):
        """Without aliases: a few lines of them stand for more than any memory holds."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not read")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
