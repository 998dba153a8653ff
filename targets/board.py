"""Board records: what a board is and can do, read from TOML files."""

from __future__ import annotations

import os
import platform
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgec.errors import BadOption, first_problem, reason
from edgec.options import MOST_THREADS, Precision
from edgec.plain_file import parse
from edgec.registry import suggest

FORBID = ConfigDict(frozen=True, extra="forbid")


class Cache(BaseModel):
    """Data cache sizes in KiB per core; shared ones divided by the cores that share them."""

    model_config = FORBID

    l1_kib: int = Field(ge=4)
    l2_kib: int = Field(ge=32)


class Gpu(BaseModel):
    """GPU of a Jetson."""

    model_config = FORBID

    architecture: str
    sm: int
    cuda_cores: int
    tensor_cores: int = 0
    max_mhz: float
    fp32_gflops: float
    fp16_gflops: float
    int8_tops: float | None = None
    dla_cores: int = 0


class Board(BaseModel):
    """One board. `backend` names an entry of the extension point `edgec.targets`."""

    model_config = FORBID

    name: str
    title: str
    backend: str
    triple: str
    cpu: str
    features: tuple[str, ...] = ()
    cores: int = Field(ge=1)
    threads: int = Field(ge=1, le=MOST_THREADS)
    macs_per_cycle: int | None = Field(default=None, ge=1)
    """Multiply-accumulates of fp32 that one core does in a cycle; for a CPU that edgec has no figure of."""
    max_mhz: float | None = None
    """Clock of the cores that `threads` counts."""
    memory_mib: int
    bandwidth_gbs: float | None = None
    glibc: str | None = None
    precisions: tuple[Precision, ...]
    software: dict[str, str] = Field(default_factory=dict)
    cache: Cache | None = None
    gpu: Gpu | None = None
    notes: tuple[str, ...] = ()
    emulator_cpu: str | None = None
    """CPU model for qemu-user that has what `cpu` and `features` need."""

    @property
    def architecture(self) -> Literal["x86_64", "aarch64"]:
        """First part of the triple."""
        return "aarch64" if self.triple.startswith("aarch64") else "x86_64"


def board_names() -> list[str]:
    """Return the names of the boards that ship with edgec."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def load_board(target: str) -> Board:
    """Return the record of the board named `target`, or of the board file at that path.

    The record `host` is completed with what this machine is.

    Raises:
        BadOption: Unknown name (near matches are listed), unreadable or wrong file.
    """
    known = board_names()
    if target in known:
        text, source = (_folder() / f"{target}.toml").read_text(encoding="utf-8"), f"board {target}"
    elif target.endswith(".toml") or "/" in target:
        source = f"board file {target}"
        try:
            text = Path(target).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(
                f"{source}: {reason(error)}", remedy="Give a board name or the path of a TOML file."
            ) from error
    else:
        raise BadOption(f"unknown target {target!r}", remedy=suggest(target, known) + " `edgec targets` lists them.")
    try:
        data = parse("toml", text)
    except ValueError as error:
        raise BadOption(f"{source}: {error}", remedy="Correct the TOML; targets/boards/ has examples.") from error
    if data.get("name") == "host":
        data = _this_machine() | data
    try:
        return Board.model_validate(data)
    except ValidationError as error:
        raise BadOption(f"{source}: {first_problem(error)}", remedy="targets/boards/ has examples.") from error


def is_this_machine(board: Board) -> bool:
    """Whether code for `board` may run natively here: same architecture; CPU features are the back end's to check."""
    return board.architecture == platform.machine()


def _folder() -> Any:
    return resources.files("edgec.targets.boards")


def _this_machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "triple": f"{platform.machine()}-linux-gnu",
        "cores": cores,
        "threads": cores,
        "memory_mib": memory >> 20,
        "glibc": platform.libc_ver()[1] or None,
    }
