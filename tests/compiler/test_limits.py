"""What is too large is refused in words, before anything is allocated for it."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgec.errors import BadModel, BadOption, EdgecError, UnsupportedModel
from edgec.limits import VARIABLE, check_memory, max_memory, parse_size
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.passes.canonicalize import Canonicalize
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from tests.support.models import proto, saved


@pytest.fixture(autouse=True)
def nothing_large_is_allocated():
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 << 30), ("512M", 512 << 20), ("1.5 kB", 1536), ("4096", 4096), ("2tib", 2 << 40)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "--max-memory") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "8 GB of it"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadOption, match="--max-memory"):
        parse_size(text, "--max-memory")


def test_the_limit_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1MiB")
    assert max_memory() == 1 << 20
    with pytest.raises(
        UnsupportedModel, match=r"a tensor takes 3\.0 MiB, which is more than the memory limit of 1\.0 MiB"
    ) as e:
        check_memory(3 << 20, "a tensor")
    assert "--max-memory 3MiB" in e.value.remedy


HUGE = {
    "ConstantOfShape node 'c'": """g (float[1] x) => (float[n] y) <int64[1] size = {1099511627776}>
        { c = ConstantOfShape (size)  y = Add (c, x) }""",
    "Expand node 'e'": """g (float[1] x) => (float[a, b] y) <int64[2] size = {1048576, 1048576}>
        { e = Expand (x, size)  y = Relu (e) }""",
    "Pad node 'p'": """g (float[1, 3] x) => (float[a, b] y) <int64[4] pads = {0, 0, 0, 4294967296}>
        { p = Pad (x, pads)  y = Relu (p) }""",
    "Tile node 't'": """g (float[1, 3] x) => (float[a, b] y) <int64[2] times = {65536, 65536}>
        { t = Tile (x, times)  y = Relu (t) }""",
    "MatMul node 'm'": """g (float[65536, 1] x) => (float[a, b] y)
        { t = Transpose (x)  m = MatMul (x, t)  y = Relu (m) }""",
    "input x": "g (float[65536, 65536] x) => (float[a, b] y) { y = Relu (x) }",
}  # fmt: skip


@pytest.mark.parametrize("what", HUGE)
def test_a_value_beyond_the_limit_is_named(what: str) -> None:
    source = load(proto(HUGE[what])).model
    for node in source.graph:
        node.name = node.outputs[0].name
    with pytest.raises(UnsupportedModel, match=f"{what}.* takes .*iB, which is more than the memory limit of 4.0 GiB"):
        fix_shapes(source, {})


def test_arithmetic_on_shapes_is_not_computed_where_it_grows() -> None:
    text = """g (float[1] x) => (float[n] y) <int64[1] size = {1099511627776}, int64 zero = {0}, int64 one = {1},
        int64 large = {1099511627776}, int64[1] times = {1099511627776}> {
        c = ConstantOfShape <value = int64[1] {1}> (size)  r = Range (zero, large, one)  t = Tile (size, times)
        e = Expand (zero, size)  s = Add (c, r)  u = Add (t, e)  v = Add (s, u)  y = Reshape (x, v) }"""
    with pytest.raises(EdgecError):
        Canonicalize()(fix_shapes(load(proto(text)).model, {}))


def test_a_run_beyond_the_limit_names_the_node() -> None:
    source = proto("g (int64[2] size) => (float[a, b] y) { c = ConstantOfShape (size)  y = Relu (c) }")
    with pytest.raises(UnsupportedModel, match=r"ONNX Runtime needs 16\.0 GiB more for ConstantOfShape node 'c'"):
        Reference(load(source).model).run({"size": np.array([1 << 16, 1 << 16])})


def test_golden_inputs_beyond_the_limit() -> None:
    model = load(proto("g (float[40000, 40000] x) => (float[40000, 40000] y) { y = Relu (x) }")).model
    with pytest.raises(UnsupportedModel, match=r"generating golden inputs .* takes 23\.8 GiB"):
        golden_inputs(inputs_of(model), 0)


def external(tmp_path: Path, rows: int, size: int, offset: int = 0) -> Path:
    """Write a model whose weights are said to lie at `offset` of a sparse file of `size` bytes."""
    source = proto("g (float[1, 1024] x) => (float[1, n] y) { y = MatMul (x, w) }")
    tensor = source.graph.initializer.add(name="w", data_type=1, dims=[1024, rows])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "weights", "offset": offset, "length": 4096 * rows}.items():
        tensor.external_data.add(key=key, value=str(value))
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(size)
    return saved(source, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("rows", "size", "offset", "error", "message"),
    [
        (1 << 24, 1 << 20, 0, UnsupportedModel, "external data up to initializer 'w' takes 64.0 GiB"),
        (1, 40 << 30, 0, UnsupportedModel, "weights takes 40.0 GiB"),
        (1, 1 << 20, 1 << 60, BadModel, "ends 4096 bytes early"),
        (1 << 18, 1 << 20, 0, BadModel, "ends 1072693248 bytes early"),
    ],
)
def test_external_data_beyond_the_limit(
    tmp_path: Path, rows: int, size: int, offset: int, error: type[EdgecError], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(external(tmp_path, rows, size, offset))


def test_a_model_file_beyond_what_a_message_holds(tmp_path: Path) -> None:
    with (tmp_path / "sparse.onnx").open("wb") as file:
        file.truncate(40 << 30)
    with pytest.raises(BadModel, match="2 GB"):
        load(tmp_path / "sparse.onnx")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(BadModel, match="not a regular file"):
        load(tmp_path / "pipe.onnx")


def test_functions_that_unfold_without_end() -> None:
    levels = 24
    functions = "\n".join(
        f'<domain: "f", opset_import: ["" : 17, "f" : 1]> f{level} (a) => (b) '
        f"{{ c = f.f{level + 1} (a)  b = f.f{level + 1} (c) }}"
        for level in range(levels)
    )
    last = f'<domain: "f", opset_import: ["" : 17]> f{levels} (a) => (b) {{ b = Relu (a) }}'
    header = '<ir_version: 8, opset_import: ["" : 17, "f" : 1]>'
    text = f"{header} g (float[1] x) => (float[1] y) {{ y = f.f0 (x) }}\n{functions}\n{last}"
    with pytest.raises(UnsupportedModel, match="16777216 nodes"):
        load(proto(text))
