"""What runs on the board must run on Python 3.6 with nothing but TensorRT and numpy."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import python36
from tests.support.tensorrt_board import STAND_IN, board_environment, run_on_board, small_model, write_artefact

FOLDER = Path(__file__).parents[4] / "targets/tensorrt/board"
SCRIPTS = sorted(FOLDER.glob("*.py"))
STANDARD = {
    "argparse", "ctypes", "glob", "hashlib", "json", "os", "re", "signal", "subprocess", "sys", "time", "traceback",
    "typing",
}  # fmt: skip
ON_BOARD = {"numpy", "tensorrt", "onboard"}
NEWER_KEYWORDS = {"capture_output", "text", "missing_ok", "dirs_exist_ok", "strict"}
"""Arguments that Python 3.7 to 3.10 brought to functions that 3.6 has."""
NEWER_NAMES = {"removeprefix", "removesuffix", "prod", "perf_counter_ns", "fromisoformat", "isascii", "breakpoint"}


@pytest.fixture(params=SCRIPTS, ids=lambda path: path.name)
def tree(request: pytest.FixtureRequest) -> ast.Module:
    path: Path = request.param
    return ast.parse(path.read_text(), filename=path.name, feature_version=(3, 6))


def test_the_scripts_are_there() -> None:
    assert {"main.py", "build_engine.py", "build.py", "session.py"} <= {path.name for path in SCRIPTS}


def test_imports_only_what_the_board_has(tree: ast.Module) -> None:
    assert set(_imports(tree)) <= STANDARD | ON_BOARD


def test_no_future_import(tree: ast.Module) -> None:
    """`from __future__ import annotations` is of 3.7."""
    assert "__future__" not in set(_imports(tree))


def test_no_syntax_that_the_parser_lets_pass(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        assert not isinstance(node, ast.NamedExpr), f"line {node.lineno}: walrus"
        if isinstance(node, ast.FunctionDef):
            assert not node.args.posonlyargs, f"line {node.lineno}: positional-only arguments"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in {"list", "dict", "tuple", "set", "type"}, f"line {node.lineno}: builtin generic"


def test_no_argument_or_function_of_a_newer_python(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            assert node.arg not in NEWER_KEYWORDS, f"line {node.value.lineno}: {node.arg}="
        if isinstance(node, ast.Attribute):
            on_numpy = isinstance(node.value, ast.Name) and node.value.id == "np"
            assert on_numpy or node.attr not in NEWER_NAMES, f"line {node.lineno}: {node.attr}"


def test_annotations_are_evaluated_on_an_old_numpy(tree: ast.Module) -> None:
    """`np.ndarray[...]` fails before numpy 1.20, `X | Y` before Python 3.10."""
    for annotation in _annotations(tree):
        text = ast.unparse(annotation)
        assert "|" not in text
        assert "np." not in text


def test_modules_reach_each_other_by_relative_imports_only() -> None:
    for path in SCRIPTS:
        assert "edgec" not in set(_imports(ast.parse(path.read_text()))), path.name


# Under the real Python 3.6


@pytest.fixture(scope="module")
def python() -> str:
    return python36.interpreter()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python36") / "artefact"
    write_artefact(folder, small_model())
    return folder


OUTCOMES = {
    "": (0, ""),
    "parser": (2, "cannot parse the model"),
    "none": (2, "could not build the engine"),
    "out of memory": (2, "out of memory while building"),
    "killed": (2, "lack of memory"),
    "crash": (2, "signal 11"),
    "interrupted": (2, "interrupted"),
    "load": (2, "cannot load"),
    "wrong outputs": (1, "outputs differ"),
}


@pytest.mark.parametrize("fault", OUTCOMES)
def test_every_outcome_is_the_same_on_python_3_6(python: str, pristine: Path, tmp_path: Path, fault: str) -> None:
    folder = Path(shutil.copytree(pristine, tmp_path / "artefact"))
    outcome = run_on_board(folder, "--runs", "2", "--warmup", "0", python=python, STAND_IN_FAULT=fault)
    code, said = OUTCOMES[fault]
    assert outcome.code == code, outcome.stderr
    assert said in outcome.stderr
    assert outcome.stderr.count("build_engine.py:") == (1 if code else 0)
    assert "Traceback" not in outcome.stderr


def test_another_version_is_refused_on_python_3_6(python: str, tmp_path: Path) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin")
    outcome = run_on_board(tmp_path / "a", python=python, STAND_IN_VERSION="8.2.1.8")
    assert outcome.code == 2
    assert "compiled for 10.3.0" in outcome.stderr


RUNNER = """
import sys
sys.path[:0] = [{folder!r}, {stand_in!r}]
import numpy as np
from onboard.runner import Runner
runner = Runner({folder!r})
golden = [np.load(t.golden[0]) for t in runner.inputs + runner.outputs]
outputs = runner.run({{runner.inputs[0].name: golden[0]}})
print(np.abs(outputs["y"] - golden[1]).max() < 1e-4, outputs["best"].dtype, (outputs["best"] == golden[2]).all())
"""


def test_programs_on_the_board_run_the_engine(python: str, pristine: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pristine, tmp_path / "artefact"))
    program = RUNNER.format(folder=str(folder), stand_in=str(STAND_IN))
    done = subprocess.run(
        [python, "-c", program], env=board_environment("jetson-tx2"), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["True int64 True"], done.stderr


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def _annotations(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns
