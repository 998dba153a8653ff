"""README and docs keep up with the program: links, commands, the table of boards."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_table_of_boards_is_the_scripts() -> None:
    script = ROOT / "bench" / "board_table.py"
    table = subprocess.check_output([sys.executable, script], text=True)
    assert table in (ROOT / "README.md").read_text()


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the calls of `edgec` in the shell blocks of a page, as words."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in [] if language not in ("", "sh") else re.sub(r"\\\n", " ", block).splitlines():
            if line.removeprefix("$ ").startswith("edgec "):
                yield shlex.split(line.removeprefix("$ "), comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    import typer

    from edgec.cli import app

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for _, name, *words in command_lines(page):
        assert name.startswith("-") or name in known, name
        options = {flag for each in known[name].params for flag in (*each.opts, *each.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert used <= {*options, "--help"}, f"edgec {name}: {used - options}"


def test_every_page_is_in_the_navigation() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = set(re.findall(r"[\w/-]+\.md", str(settings["nav"])))
    assert named == {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "results").glob("[!i]*.md")), ids=lambda page: page.name)
def test_results_name_the_script_that_made_them(page: Path) -> None:
    scripts = re.findall(r"bench/[\w/]+\.py", page.read_text())
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    leading_nowhere = [
        (page.name, link)
        for page in tmp_path.rglob("*.html")
        for link in re.findall(r'href="([^"#:]+)[#"]', page.read_text())
        if page.name != "404.html" and not (page.parent / link).exists()
    ]
    assert leading_nowhere == []
    assert "max-slowdown" in (tmp_path / "reference" / "cli.html").read_text()
    assert 'id="edgec.api.compare.compare"' in (tmp_path / "reference" / "api.html").read_text()


def test_settings_in_the_docs_are_valid(tmp_path: Path) -> None:
    from edgec.options import CompileOptions, read_config

    text = (ROOT / "docs" / "configuration.md").read_text()
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    path = tmp_path / "edgec.toml"
    path.write_text(block[1])
    settings = read_config(path)
    assert settings.keys() == CompileOptions.model_fields.keys()
    CompileOptions.model_validate(settings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_in_the_docs_uses_the_public_api(page: Path) -> None:
    """Every block is Python and needs `import edgec` alone; users of TVM and of TensorRT take a module each."""
    import edgec

    others = {"edgec.targets.tvm.pipeline", "edgec.targets.tensorrt.calibrator"}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                own = [alias.name for alias in node.names if alias.name.startswith("edgec.")]
                assert set(own) <= others
            elif isinstance(node, ast.ImportFrom):
                assert node.module in others or not (node.module or "").startswith("edgec.")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "edgec":
                assert node.attr in {*edgec.__all__, "targets"}
