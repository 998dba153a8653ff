"""Sizes, counts and times as a report writes them."""

from __future__ import annotations

MIB = 2**20


def signed(share: float) -> str:
    """Return a relative change as text."""
    return f"{share:+.0%}".replace("-", "−").replace("%", "\u202f%")


def mib(size: int) -> str:
    """Return a size in bytes as text."""
    return f"{size / MIB:.2f} MiB" if size < 10 * MIB else f"{size / MIB:.1f} MiB"


def millions(count: int) -> str:
    """Return a count as text."""
    return f"{count / 1e6:,.2f} M" if count < 1e7 else f"{count / 1e6:,.1f} M"


def ms(seconds: float) -> str:
    """Return a time in seconds as text."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.1f} µs"
