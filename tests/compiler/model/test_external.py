"""External data: read into memory from the model's folder, refused from anywhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgec.errors import BadModel
from edgec.model.load import load
from tests.support.models import proto

GRAPH = "g (float[1, 4] x) => (float[1, 4] y) <float[4] v = {0, 0, 0, 1}> { a = Mul (x, w)  y = Add (a, v) }"
W = np.array([1, 2, 3, 4], np.float32)


def write(folder: Path, location: str, *, data: bytes | None = None, **entries: int) -> Path:
    """Write a model whose weight `w` lies in `location`; the data file itself only if `data` is given."""
    source = proto(GRAPH)
    tensor = onnx.numpy_helper.from_array(W, "w")
    onnx.external_data_helper.set_external_data(tensor, location, **entries)
    tensor.ClearField("raw_data")
    source.graph.initializer.append(tensor)
    path = folder / "net.onnx"
    path.write_bytes(source.SerializeToString())
    if data is not None:
        (folder / location).parent.mkdir(parents=True, exist_ok=True)
        (folder / location).write_bytes(data)
    return path


def weight(path: Path) -> np.ndarray:
    return load(path).model.graph.initializers["w"].const_value.numpy()


def test_read_into_memory(tmp_path: Path) -> None:
    path = write(tmp_path, "weights/w.bin", data=b"head" + W.tobytes() + b"tail", offset=4, length=16)
    model = load(path).model
    (tmp_path / "weights" / "w.bin").unlink()
    tensor = model.graph.initializers["w"].const_value
    assert isinstance(tensor, ir.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), W)


def test_without_offset_and_length(tmp_path: Path) -> None:
    np.testing.assert_array_equal(weight(write(tmp_path, "w.bin", data=W.tobytes())), W)


def test_four_bit_weights(tmp_path: Path) -> None:
    source = proto("g (float[3] x) => (int4[3] w) <float[1] v = {1}> { y = Mul (x, v) }", opset=21, ir_version=10)
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [3], [1, -2, 7])
    (tmp_path / "w.bin").write_bytes(tensor.raw_data or bytes(v & 0xFF for v in tensor.int32_data))
    onnx.external_data_helper.set_external_data(tensor_with_raw(tensor), "w.bin")
    tensor.ClearField("raw_data")
    tensor.ClearField("int32_data")
    source.graph.initializer.append(tensor)
    (tmp_path / "net.onnx").write_bytes(source.SerializeToString())
    assert weight(tmp_path / "net.onnx").astype(int).tolist() == [1, -2, 7]


def tensor_with_raw(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.raw_data = tensor.raw_data or b"\0"  # set_external_data insists on it
    return tensor


def test_data_counts_in_the_hash(tmp_path: Path) -> None:
    path = write(tmp_path, "w.bin", data=W.tobytes())
    before = load(path).sha256
    assert load(path).sha256 == before
    (tmp_path / "w.bin").write_bytes((W + 1).tobytes())
    assert load(path).sha256 != before


def test_data_of_a_constant_node(tmp_path: Path) -> None:
    source = proto(
        "g (float[1, 4] x) => (float[1, 4] y) { w = Constant <value = float[4] {9, 9, 9, 9}> ()  y = Mul (x, w) }"
    )
    tensor = source.graph.node[0].attribute[0].t
    tensor.CopyFrom(onnx.numpy_helper.from_array(W, "w"))
    onnx.external_data_helper.set_external_data(tensor, "w.bin")
    tensor.ClearField("raw_data")
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (tmp_path / "net.onnx").write_bytes(source.SerializeToString())
    node = load(tmp_path / "net.onnx").model.graph[0]
    np.testing.assert_array_equal(node.attributes["value"].as_tensor().numpy(), W)


@pytest.mark.parametrize("location", ["../w.bin", "a/../../w.bin", "/etc/hostname", r"C:\w.bin", r"..\w.bin", ""])
def test_path_that_leaves_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    with pytest.raises(BadModel, match=r"initializer 'w' .* not a path inside") as caught:
        load(write(folder, location))
    assert repr(location) in caught.value.problem


def test_symbolic_link_that_leaves_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(BadModel, match=r"'w' has its data in 'w\.bin', a link to .* outside"):
        load(write(folder, "w.bin"))


def test_symbolic_link_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(W.tobytes())
    (tmp_path / "w.bin").symlink_to("real.bin")
    np.testing.assert_array_equal(weight(write(tmp_path, "w.bin")), W)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"initializer 'w' has its data in 'w\.bin', but there is no such file"):
        load(write(tmp_path, "w.bin"))


def test_short_file(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"'w' is damaged: .*w\.bin ends 6 bytes early"):
        load(write(tmp_path, "w.bin", data=W.tobytes()[:10]))


def test_length_that_contradicts_the_shape(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="needs 16 bytes"):
        load(write(tmp_path, "w.bin", data=W.tobytes(), length=8))


def test_bytes_have_no_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "w.bin", data=W.tobytes())
    with pytest.raises(BadModel, match="Give the path of the model file"):
        load(path.read_bytes())


def test_ir_model_brings_its_own_folder(tmp_path: Path) -> None:
    model = load(ir.load(write(tmp_path, "w.bin", data=W.tobytes()))).model
    np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), W)
