"""README and docs keep up with the program: links, commands, the table of boards."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_table_of_boards_is_the_scripts() -> None:
    script = ROOT / "bench" / "board_table.py"
    table = subprocess.check_output([sys.executable, script], text=True)
    assert table in (ROOT / "README.md").read_text()


def test_commands_exist() -> None:
    from edgec.cli import app

    known = {command.name for command in app.registered_commands}
    for page in PAGES:
        used = set(re.findall(r"^(?:\$ )?edgec ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert used <= known


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
