"""Graphs that were at fault once, as small as they could be cut: stages, opset and text of each."""

from __future__ import annotations

FOUND: dict[str, tuple[tuple[str, ...], int, str]] = {}
