"""What Start and the guides say can be done: their blocks run one after the other, small networks for the real ones.

A block behind a comment such as `<!-- on the board -->` is not run; `text` blocks are outputs. What the real networks
printed is on the pages.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from edgec.cli import app
from tests.support import heads
from tests.support.models import proto, random_weights, saved

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- (?P<where>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)


def two_classes() -> onnx.ModelProto:
    """A classifier of lines of any size."""
    made = proto("""g (float[n, 3, h, w] x) => (float[n, 2] y)
      { c = Conv <strides = [4, 4]> (x, k)  r = Relu (c)  d = Conv (r, m)  s = Relu (d)
        p = GlobalAveragePool (s)  f = Flatten (p)  l = MatMul (f, v)  y = Softmax <axis = 1> (l) }""")
    weights = random_weights(k=(8, 3, 4, 4), m=(8, 8, 1, 1), v=(8, 2))
    made.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return made


def reader() -> onnx.ModelProto | ir.Model:
    """A recognizer of lines of 48x320, its characters in the metadata."""
    made = proto("""g (float[1, 3, 48, 320] x) => (float[1, 40, 7] y)
      { c = Conv <strides = [48, 8]> (x, k)  s = Squeeze (c, two)  t = Transpose <perm = [0, 2, 1]> (s)
        l = MatMul (t, v)  y = Softmax <axis = 2> (l) }""")
    weights = random_weights(k=(8, 3, 48, 8), v=(8, 7)) | {"two": heads.ints(2)}
    made.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    made.metadata_props.add(key="character", value="\n".join("abcde"))
    return made


def detector() -> ir.Model:
    """The outputs of the demo detector, each by one layer."""
    record = json.loads((ROOT / "examples" / "detector" / "detector.json").read_text())
    text, outputs, weights = "", [], {}
    for head in record["outputs"]:
        name, stride = head["name"], head["stride"]
        channels = len(head["anchors"]) * (5 + len(record["classes"]))
        text += f"{name} = Conv <strides = [{stride}, {stride}]> (image, w_{name})\n"
        outputs.append(f"float[1, {channels}, {160 // stride}, {160 // stride}] {name}")
        weights[f"w_{name}"] = (channels, 3, 1, 1)
    return heads.network(f"g (float[1, 3, 160, 160] image) => ({', '.join(outputs)}) {{ {text} }}", **weights)


SMALL: dict[str, Callable[[], onnx.ModelProto | ir.Model]] = {
    "cls.onnx": two_classes,
    "rec.onnx": reader,
    "yolox.onnx": heads.yolox,
    "examples/detector/detector.onnx": detector,
}
NEEDS = {"prune.md": "classifier-int8.md", "extend.md": "", "which-layer.md": "classifier-int8.md"}
"""Pages that go on with the files that another one made."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language and code of the blocks of a page that are run."""
    for found in BLOCK.finditer(page.read_text()):
        if found["where"] is None and found["language"] != "text":
            yield found["language"], found["code"]


def run(line: str) -> None:
    """Run a line of shell in this process: `edgec ...` or `python FILE ...`, its output into a file if it says so."""
    words = shlex.split(line, comments=True)
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if target else words
    with contextlib.ExitStack() as stack:
        if target:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(target).open("w"))))
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], check=True)
            return
        assert words[0] == "edgec", f"nobody runs {line}"
        sys.argv = words
        code = app(words[1:], standalone_mode=False)
        assert code in (None, 0), line


def follow(page: Path) -> None:
    """Run the blocks of a page in the working directory."""
    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, page.name, "exec"), {"__name__": "__main__"})
            continue
        for line in re.sub(r"\\\n", " ", code).splitlines():
            if line.strip():
                run(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_shell_python_or_marked(page: Path) -> None:
    for language, code in blocks(page):
        assert language in ("", "python"), f"{page.name}: mark a block that is not run, or call an output `text`"
        if language == "python":
            compile(code, page.name, "exec")
        else:
            lines = re.sub(r"\\\n", " ", code).splitlines()
            assert all(line.split()[0] in ("edgec", "python") for line in lines if line.strip()), code


@pytest.mark.slow
@pytest.mark.emulation
@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page))], ids=lambda page: page.name)
def test_what_a_guide_says_can_be_done(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tvm")
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edgec"])
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.onnx", "build"))
    for name, make in SMALL.items():
        saved(make(), tmp_path / name)
    if before := NEEDS.get(page.name):
        language, code = next(iter(blocks(page.with_name(before))))
        assert language == "python"
        exec(compile(code, before, "exec"), {"__name__": "__main__"})
    follow(page)
