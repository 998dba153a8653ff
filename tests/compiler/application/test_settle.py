"""What a compilation knows of its outputs: given, recognised, named by metadata; and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgec.application.class_names import read_classes
from edgec.application.settle import settle
from edgec.errors import BadOption
from edgec.model.metadata import names_in_metadata, picture_size
from edgec.preprocessing import Preprocessing
from tests.support import heads
from tests.support.models import model

NAMES = {"names": "{0: 'cat', 1: 'dog'}"}


def test_a_recognised_head_brings_its_preprocessing_and_says_so() -> None:
    settled = settle(heads.yolov8(metadata=NAMES))
    assert settled.application is not None and settled.application.decoder == "yolov8"
    assert settled.application.settings == {"classes": ["cat", "dog"]}
    assert settled.preprocess.resize == "letterbox"
    said = " ".join(settled.application.assumed)
    assert "recognised yolov8" in said and "letterbox" in said and "names of the 2 classes" in said
    assert settled.application.open().classes == ("cat", "dog")


def test_what_is_given_wins() -> None:
    how = Preprocessing(resize="stretch")
    settled = settle(heads.yolov8(metadata=NAMES), decoder="yolov8,min_score=0.4", classes="a,b", preprocess=how)
    assert settled.application is not None
    assert settled.application.settings == {"classes": ["a", "b"], "min_score": 0.4}
    assert settled.preprocess.resize == "stretch" and settled.application.assumed == ()


@pytest.mark.parametrize(
    ("decoder", "classes", "message"),
    [
        ("yolov8", "a,b,c", "3 class names, but the network's outputs are of 2 classes"),
        (None, "a", "1 class names"),
        ("yolox", None, "strides"),
        ("ssd", None, "not \\[1, n, 4\\]"),
        ("class-map", None, "class-map: the output is"),
        ("yolov8,output=out", None, "no output is called 'out'"),
    ],
)
def test_a_decoder_that_does_not_fit_is_refused(decoder: str | None, classes: str | None, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        settle(heads.yolov8(), decoder=decoder, classes=classes)


def test_names_of_other_classes_in_the_metadata_are_left_alone() -> None:
    settled = settle(heads.yolov8(classes=3, metadata=NAMES))
    assert settled.application is not None and "classes" not in settled.application.settings
    assert "2 class names" in " ".join(settled.application.assumed)


@pytest.mark.parametrize(("folders", "names"), [("cat dog", ["cat", "dog"]), ("cat dog bird", None)])
def test_data_names_classes_that_the_model_does_not_name(tmp_path: Path, folders: str, names: Any) -> None:
    for name in folders.split():
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    settled = settle(heads.yolov8(), data=str(tmp_path))
    assert settled.application is not None and settled.application.settings.get("classes") == names
    said = " ".join(settled.application.assumed)
    assert ("are those in the data" if names else "3 class names in the data do not belong") in said
    named = settle(heads.yolov8(metadata={"names": "['a', 'b']"}), data=str(tmp_path)).application
    assert named is not None and named.settings["classes"] == ["a", "b"]


def test_nothing_recognised_is_no_error_but_names_without_a_decoder_are() -> None:
    network = model("g (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }")
    assert settle(network).application is None
    with pytest.raises(BadOption, match="--decoder"):
        settle(network, classes="a,b")
    assert "anchors" in settle(heads.yolov3()).hint


def test_channels_last_grey_and_integers_show_in_the_input() -> None:
    network = model(
        "g (uint8[1, 8, 8, 1] x) => (float[1, 64] y) { f = Cast <to = 1> (x)  r = Flatten (f)  y = Softmax (r) }"
    )
    how = settle(network).preprocess
    assert (how.layout, how.colour, how.scale) == ("NHWC", "grey", 1.0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.txt", "a\nb\n"),
        ("c.names", "a\nb\n"),
        ("c.json", '["a", "b"]'),
        ("c.json", '{"1": "b", "0": "a"}'),
        ("c.json", json.dumps({"categories": [{"id": 7, "name": "b"}, {"id": 3, "name": "a"}]})),
        ("c.yaml", "names:\n  0: a\n  1: b\n"),
        ("c.yaml", "names: [a, b]\n"),
    ],
)
def test_names_are_read_from_a_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_classes(str(tmp_path / name)) == ("a", "b")


def test_names_are_read_from_text_or_a_list() -> None:
    assert read_classes("a, b") == read_classes(["a", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", "[" * 100_000, "nested too deeply"),
        ("c.yaml", "[" * 10_000, "nested too deeply"),
        ("c.yaml", "names: [&a [x, x], *a]", "aliases"),
        ("c.yaml", "date: 2024-13-45", "month"),
        ("c.json", '{"categories": [{"id": 1e999, "name": "a"}]}', "`id`"),
    ],
)
def test_files_of_names_that_could_be_bombs_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadOption, match=rf"{name}: .*{message}"):
        read_classes(str(tmp_path / name))


@pytest.mark.parametrize("given", ["missing.txt", "a,,b", "", "missing.json"])
def test_names_that_cannot_be_read_are_refused(given: str) -> None:
    with pytest.raises(BadOption, match=r"missing|empty"):
        read_classes(given)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'a', 1: 'b'}", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("{1: 'a'}", ()),
        ("nonsense(", ()),
        ("7", ()),
        ("{1e999: 'a'}", ()),
    ],
)
def test_names_in_metadata(text: str, names: tuple[str, ...]) -> None:
    assert names_in_metadata({"names": text}) == names


@pytest.mark.parametrize(
    ("text", "size"), [("[640, 480]", (640, 480)), ("320", (320, 320)), ("[0, 1]", None), ("x", None)]
)
def test_size_of_pictures_in_metadata(text: str, size: Any) -> None:
    assert picture_size({"imgsz": text}) == size
