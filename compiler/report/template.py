"""`fill`: an HTML page from a template of this folder and its style sheet."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup


def fill(template: str, **values: Any) -> str:
    """Return the page that `template`, a file of this folder, makes of `values`; text is escaped."""
    folder = resources.files("edgec.report")
    source = (folder / template).read_text(encoding="utf-8")
    style = Markup((folder / "style.css").read_text(encoding="utf-8"))
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(source)
        .render(style=style, **values)
    )
