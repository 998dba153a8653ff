"""Hooks of MkDocs: the pages that are generated from the program, and links that leave the site."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

import edgec
from edgec.cli import app

OUTSIDE = re.compile(
    r"\[([^]]*)\]\((?:\.\./)+(?!guides/|reference/|results/)(?!\w+\.md)[^)]*\)|\[([^]]*)\]\((?:\.\./)+[A-Z]+\.md\)"
)
"""Links to files of the repository, such as examples, which the site does not have."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the reference of the command line and of Python; turn links that leave the site into their text."""
    name = page.file.src_uri
    if name == "reference/cli.md":
        return markdown + _commands()
    if name == "reference/api.md":
        return markdown + "".join(f"\n::: {getattr(edgec, each).__module__}.{each}\n" for each in edgec.__all__)
    return OUTSIDE.sub(lambda match: match[1] or match[2], markdown)


def _commands() -> str:
    group = typer.main.get_command(app)
    text = get_docs_for_click(obj=group, ctx=typer.Context(group), name="edgec")
    return text.replace("<", "&lt;").replace("# `edgec`", "", 1)
