"""Every kind of data: how it looks on disk, what is read, and one test for each refusal."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgec.data.labels import Boxes, ClassLabel, Mask, Text
from edgec.data.samples import Samples
from edgec.data.source import open_samples
from edgec.errors import BadOption, EdgecError, MissingDependency
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing
from tests.support.data_sets import COCO, VOC, coco, picture, voc, write, yolo

SPEC = TensorSpec(name="image", shape=(1, 3, 8, 8), dtype="float32")
SECOND = TensorSpec(name="scale", shape=(1, 2), dtype="float32")


def opened(data: str | Path, *inputs: TensorSpec) -> Samples:
    return open_samples(data, inputs or (SPEC,), Preprocessing())


# Folders --------------------------------------------------------------------------------------------------------------


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/z.jpg", "dog/deep/a.PNG", "cat/.hidden.png"):
        picture(tmp_path / name)
    write(tmp_path / "cat" / "notes.md", "not a picture")
    samples = opened(tmp_path)
    assert samples.classes == ("cat", "dog")
    assert [(Path(s.name).relative_to(tmp_path).as_posix(), s.label) for s in samples] == [
        ("cat/z.jpg", ClassLabel(0)),
        ("dog/b.png", ClassLabel(1)),
        ("dog/deep/a.PNG", ClassLabel(1)),
    ]
    assert samples[1].inputs["image"].shape == (1, 3, 8, 8)
    assert samples[1].placement is not None
    assert samples[1].placement.original == (20, 10)


def test_sub_folders_that_are_numbers_are_the_classes(tmp_path: Path) -> None:
    for name in ("10", "2", "0"):
        picture(tmp_path / name / "a.png")
    assert sorted(s.label.index for s in opened(tmp_path)) == [0, 2, 10]  # type: ignore[union-attr]


def test_classes_txt_gives_the_order(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    write(tmp_path / "classes.txt", "dog\ncat\n")
    assert opened(tmp_path)[0].label == ClassLabel(1)


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    for name in ("cat/a.png", ".ipynb_checkpoints/a.png", "dog/.thumbnails/b.png", "dog/b.png"):
        picture(tmp_path / name)
    samples = opened(tmp_path)
    assert samples.classes == ("cat", "dog")
    assert [s.label for s in samples] == [ClassLabel(0), ClassLabel(1)]
    hidden = picture(tmp_path / ".cache" / "pictures" / "cat" / "a.png")  # the folder that was asked for may be hidden
    assert len(opened(hidden.parents[1])) == 1


def test_a_folder_without_pictures_may_be_a_class_if_the_order_is_known(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "a.png")
    (tmp_path / "cow").mkdir()
    write(tmp_path / "classes.txt", "cat\ncow\ndog\n")
    assert opened(tmp_path)[0].label == ClassLabel(2)


def test_samples_can_be_sent_to_another_process(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    samples = pickle.loads(pickle.dumps(opened(tmp_path)))
    assert samples[0].label == ClassLabel(0)


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert opened(tmp_path)[0].label is None


# COCO -----------------------------------------------------------------------------------------------------------------


OUTSIDE = [{"id": 1, "file_name": "../a.png"}]


def test_coco(tmp_path: Path) -> None:
    samples = opened(coco(tmp_path))
    assert samples.classes == ("person", "brush")
    assert [Path(s.name).name for s in samples] == ["a.png", "b.png"]
    empty, full = (s.label for s in samples)
    assert isinstance(empty, Boxes)
    assert isinstance(full, Boxes)
    assert empty.boxes.shape == (0, 4)
    np.testing.assert_array_equal(full.boxes, [[1, 2, 4, 6], [0, 0, 20, 10]])
    assert full.classes.tolist() == [1, 0]
    assert full.ignored.tolist() == [False, True]
    assert full.areas.tolist() == [9, 200]


def test_coco_ids_may_be_texts_and_an_area_null(tmp_path: Path) -> None:
    box = {"id": 1, "image_id": "p", "category_id": "c", "bbox": [1, 2, 3, 4], "area": None}
    images, categories = [{"id": "p", "file_name": "a.png"}], [{"id": "c"}]
    (sample,) = opened(coco(tmp_path, images=images, categories=categories, annotations=[box]))
    assert isinstance(sample.label, Boxes)
    assert sample.label.areas.tolist() == [12]


# VOC ------------------------------------------------------------------------------------------------------------------


def test_voc(tmp_path: Path) -> None:
    samples = opened(voc(tmp_path))
    assert samples.classes == ("cat", "dog")
    label = samples[0].label
    assert isinstance(label, Boxes)
    np.testing.assert_array_equal(label.boxes, [[1, 2, 4, 6], [0, 0, 9, 9]])
    assert label.classes.tolist() == [1, 0]
    assert label.ignored.tolist() == [False, True]


BOMB = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>' + VOC.replace("dog", "&c;")


def test_entities_are_refused_in_any_encoding(tmp_path: Path) -> None:
    voc(tmp_path)
    path = tmp_path / "Annotations" / "a.xml"
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}'.encode(encoding))
        with pytest.raises(BadOption, match=r"a\.xml.*DOCTYPE"):
            opened(tmp_path)


# YOLO -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "images/val", "data.yaml"])
def test_yolo(tmp_path: Path, part: str) -> None:
    yolo(tmp_path)
    write(tmp_path / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n")
    samples = opened(tmp_path / part)
    assert samples.classes == ("cat", "dog")
    label, none = (s.label for s in samples)
    assert isinstance(label, Boxes)
    assert isinstance(none, Boxes)
    np.testing.assert_allclose(label.boxes, [[8, 3, 12, 7]])  # of a picture of 20 x 10
    np.testing.assert_allclose(label.areas, [16])
    assert label.classes.tolist() == [1]
    assert none.boxes.shape == (0, 4)


def test_yolo_with_labels_beside_the_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 0.5 0.5 1 1\n")
    write(tmp_path / "classes.txt", "cat\n")
    np.testing.assert_allclose(opened(tmp_path)[0].label.boxes, [[0, 0, 20, 10]])  # type: ignore[union-attr]


def test_labels_are_of_the_picture_as_viewers_show_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path / "a.txt", "0 0.5 0.75 1 0.5\n")
    write(tmp_path / "classes.txt", "cat\n")
    sample = opened(tmp_path)[0]
    assert sample.placement is not None
    assert sample.placement.original == (10, 20)
    np.testing.assert_allclose(sample.label.boxes, [[0, 10, 10, 20]])  # type: ignore[union-attr]


def test_yolo_without_pyyaml_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(yolo(tmp_path) / "data.yaml", "val: images/val\nnames: [cat, dog]\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingDependency, match=r"pip install .*pyyaml"):
        opened(tmp_path)


# Text lines -----------------------------------------------------------------------------------------------------------


def test_text_lines(tmp_path: Path) -> None:
    picture(tmp_path / "crops" / "a b.png")
    path = write(tmp_path / "list.txt", "\ufeffcrops/a b.png\t北京 \u2028x\n\ncrops/a b.png\t\r\n")
    assert [s.label for s in opened(path)] == [Text("北京 \u2028x"), Text("")]


# Arrays ---------------------------------------------------------------------------------------------------------------


def test_a_batch_of_inputs(tmp_path: Path) -> None:
    batch = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    np.save(tmp_path / "x.npy", batch)
    samples = opened(tmp_path / "x.npy")
    assert len(samples) == 5
    np.testing.assert_array_equal(samples[-1].inputs["image"], batch[4:])
    assert len(opened(tmp_path / "x.npy", SPEC.model_copy(update={"shape": (5, 3, 8, 8)}))) == 1


@pytest.mark.parametrize(
    ("labels", "expected"), [([3, 1], ClassLabel(1)), (["a", "b"], Text("b")), (np.ones((2, 8, 8), np.uint8), Mask)]
)
def test_labels_in_a_npz(tmp_path: Path, labels: object, expected: object) -> None:
    np.savez(tmp_path / "x.npz", whatever=np.zeros((2, 3, 8, 8), np.float32), labels=labels)
    label = opened(tmp_path / "x.npz")[1].label
    assert label == expected or (isinstance(label, Mask) and label.classes.shape == (8, 8))


def test_a_npz_feeds_several_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((2, 3, 8, 8), np.float32), scale=np.ones((2, 2), np.float32))
    samples = opened(tmp_path / "x.npz", SPEC, SECOND)
    assert {name: array.shape for name, array in samples[1].inputs.items()} == {"image": (1, 3, 8, 8), "scale": (1, 2)}


# Python ---------------------------------------------------------------------------------------------------------------


CODE = """
import numpy as np
from PIL import Image

class Data(list):
    classes = ("cat", "dog")

def classified():
    return Data([(Image.new("RGB", (20, 10)), 1), (np.zeros((10, 20, 3), np.uint8), "text")])

def detected():
    yield np.zeros((10, 20, 3), np.uint8), [[1, 2, 3, 4]], [5]

def inputs():
    return [{"image": np.zeros((1, 3, 8, 8), np.float32)}]

def nothing():
    return []

def number():
    return 3

def strange():
    return [object()]

def deep():
    return [Image.fromarray(np.zeros((10, 20), np.int32))]

def sixteen():
    return [Image.fromarray(np.full((10, 20), 0x8000, np.uint16))]

def half():
    return [(np.zeros((10, 20, 3), np.uint8), [[1, 2, 3, 4]], [5, 6])]
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return write(tmp_path / "my_data.py", CODE)


def test_python_callables(code: Path) -> None:
    samples = opened(f"{code}:classified")
    assert samples.classes == ("cat", "dog")
    assert [s.label for s in samples] == [ClassLabel(1), Text("text")]
    (sample,) = opened(f"{code}:detected")
    assert isinstance(sample.label, Boxes)
    assert (sample.label.boxes.tolist(), sample.label.classes.tolist()) == ([[1, 2, 3, 4]], [5])
    assert opened(f"{code}:sixteen")[0].inputs["image"].max() == np.float32(0x80 / 255)
    assert opened(f"{code}:inputs")[0].inputs["image"].shape == (1, 3, 8, 8)


def test_python_callables_travel_to_processes_that_have_not_imported_them(code: Path) -> None:
    packed = pickle.dumps(opened(f"{code}:classified"))
    del sys.modules[f"edgec_data_{code.stem}"]
    assert [s.label for s in pickle.loads(packed)] == [ClassLabel(1), Text("text")]


def test_a_module_in_the_working_directory(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code.parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert len(opened("my_data:classified")) == 2


def test_an_array_of_numbers_feeds_a_network_that_takes_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((3, 3, 8, 8), np.float32), gain=np.arange(3, dtype=np.float32))
    specs = (
        TensorSpec(name="image", shape=(1, 3, 8, 8), dtype="float32"),
        TensorSpec(name="gain", shape=(), dtype="float32"),
    )
    samples = open_samples(tmp_path / "x.npz", specs, Preprocessing())
    assert [(each.inputs["gain"].shape, float(each.inputs["gain"])) for each in samples] == [((), 0), ((), 1), ((), 2)]


# Refusals -------------------------------------------------------------------------------------------------------------


def packed_zeros(path: Path, size: int) -> Path:
    """Write an archive that says it has a member of `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 10))
        archive.filelist[0].file_size = size
        archive.filelist[0].extra = b""
    return path


def _npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _two(folder: Path) -> Path:
    picture(folder / "a.png")
    picture(folder / "cat" / "b.png")
    return folder


def _damaged(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:6000])
    return folder


def _unlisted(folder: Path) -> Path:
    picture(folder / "cot" / "a.png")
    write(folder / "classes.txt", "cat\ndog\n")
    return folder


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


ZEROS = np.zeros((2, 3, 8, 8), np.float32)
REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (lambda p: p / "no", "no such file"),
    "unknown kind": (lambda p: write(p / "x.csv", "a"), "not of a known kind"),
    "empty folder": (_empty, "empty contains no pictures"),
    "folder without pictures among classes": (
        lambda p: picture(p / "cat" / "a.png") and _empty(p).parent,
        "empty contains no pictures, so it is unclear if it is a class.*\n.*classes.txt",
    ),
    "loose picture among classes": (_two, "a.png is in none"),
    "class not in classes.txt": (_unlisted, "'cot'.*\n.*cat"),
    "class twice": (
        lambda p: write(_unlisted(p) / "classes.txt", "cat\ncat") and p,
        "line 2: class 'cat' occurs twice",
    ),
    "damaged picture": (_damaged, "a.png"),
    "COCO: not JSON": (lambda p: write(p / "x.json", "{"), "line 1"),
    "COCO: another JSON": (lambda p: write(p / "x.json", "[]"), "no list 'images'"),
    "COCO: no file name": (lambda p: coco(p, images=[{"id": 1}]), r"images\[0\] has no 'file_name'"),
    "COCO: unknown category": (lambda p: coco(p, categories=[]), "annotation 1: category 90"),
    "COCO: unknown image": (lambda p: coco(p, images=COCO["images"][1:]), "annotation 1: image 7"),
    "COCO: bad box": (
        lambda p: coco(p, annotations=[{"id": 5, "image_id": 7, "category_id": 1, "bbox": [1, 2, -3, 4]}]),
        "annotation 5: bbox",
    ),
    "COCO: area": (
        lambda p: coco(p, annotations=[COCO["annotations"][0] | {"area": "x"}]),  # type: ignore[operator]
        "annotation 1: area 'x' is not a number",
    ),
    "COCO: huge box": (
        lambda p: coco(p, annotations=[COCO["annotations"][0] | {"bbox": [0, 0, 10**400, 1]}]),  # type: ignore[operator]
        "annotation 1: bbox",
    ),
    "COCO: ids of two kinds": (
        lambda p: coco(p, images=[{"id": "a", "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]),
        "images: some ids are numbers, some texts",
    ),
    "COCO: id": (lambda p: coco(p, categories=[{"id": [1]}]), r"categories\[0\]: id \[1\] is not a number or a text"),
    "COCO: reference": (
        lambda p: coco(p, annotations=[{"id": 5, "image_id": {}, "category_id": 1}]),
        r"annotations\[0\]: image_id {} is not",
    ),
    "COCO: file name": (lambda p: coco(p, images=[{"id": 1, "file_name": 7}]), "file_name 7 is not a text"),
    "COCO: no pictures": (lambda p: coco(p, images=[], annotations=[]), "lists no pictures"),
    "COCO: pictures missing": (lambda p: write(p / "x.json", json.dumps(COCO)), "picture a.png is in none of"),
    "VOC: not XML": (lambda p: voc(p, "<annotation>"), "a.xml.*line 1"),
    "VOC: encoding of several bytes": (
        lambda p: voc(p, '<?xml version="1.0" encoding="gb2312"?>' + VOC),
        "a.xml.*\n.*UTF-8",
    ),
    "VOC: unknown encoding": (lambda p: voc(p, '<?xml version="1.0" encoding="klingon"?>' + VOC), "a.xml.*klingon"),
    "VOC: no name": (lambda p: voc(p, "<a><object/></a>"), "an object has no name"),
    "VOC: no number": (lambda p: voc(p, VOC.replace(">4<", ">four<")), "'dog': bndbox"),
    "VOC: inside out": (lambda p: voc(p, VOC.replace(">4<", ">0<")), "'dog'.*inside out"),
    "VOC: no picture": (lambda p: (voc(p) / "JPEGImages" / "a.png").unlink() or p, "a.png is not in"),
    "VOC: unlisted class": (lambda p: write(voc(p) / "classes.txt", "dig") and p, "lacks the class 'cat'"),
    "YOLO: no number": (lambda p: yolo(p, "0 0 0 0 0\ndog 0 0 0 0"), "a.txt: line 2"),
    "YOLO: unknown class": (lambda p: yolo(p, "2 0 0 0 0"), "line 1: class 2"),
    "YOLO: pixels": (lambda p: yolo(p, "0 10 10 5 5"), "outside 0..1"),
    "YOLO: bad YAML": (lambda p: write(p / "data.yaml", "a: ["), "data.yaml"),
    "YOLO: bad date": (lambda p: write(p / "data.yaml", "date: 2024-13-45"), "data.yaml: month"),
    "YOLO: names of two kinds": (
        lambda p: write(yolo(p) / "data.yaml", "val: images\nnames: {0: cat, a: dog}"),
        "data.yaml: `names`",
    ),
    "YOLO: no record": (lambda p: write(p / "data.yaml", "- 1"), "not a YOLO data.yaml"),
    "YOLO: no names": (lambda p: write(yolo(p) / "data.yaml", "val: images"), "`names`"),
    "YOLO: no split": (lambda p: write(p / "data.yaml", "names: [a]"), "names no pictures"),
    "YOLO: split missing": (
        lambda p: write(p / "data.yaml", "names: [a]\nval: nowhere"),
        "val: .*nowhere does not exist",
    ),
    "text: no tab": (lambda p: write(p / "x.txt", "\na.png text"), "line 2: 'a.png text' is not"),
    "text: no picture": (lambda p: write(p / "x.txt", "a.png\ttext"), "line 1: picture .*a.png does not exist"),
    "text: no UTF-8": (lambda p: (p / "x.txt").write_bytes(b"\xff\xfe") and p / "x.txt", "x.txt"),
    "text: empty": (lambda p: write(p / "x.txt", "\n"), "lists no pictures"),
    "coco: outside": (lambda p: coco(p, images=OUTSIDE, annotations=[]), "'../a.png' lies outside the folder"),
    "coco: nested without end": (lambda p: write(p / "x.json", "[" * 100_000), "nested too deeply"),
    "COCO: a name longer than any": (
        lambda p: coco(p, images=[{"id": 1, "file_name": "x" * 5000}], annotations=[]),
        "File name too long",
    ),
    "yolo: aliases": (lambda p: write(p / "data.yaml", "names: [&a [x, x], *a]\nval: x\n"), "aliases"),
    "yolo: nested without end": (lambda p: write(p / "data.yaml", "[" * 10_000), "data.yaml: nested too deeply"),
    "arrays: not a file of arrays": (lambda p: write(p / "x.npz", "?"), "x.npz"),
    "arrays: archive named .npy": (lambda p: _npz(p / "x.npz", a=ZEROS).rename(p / "x.npy"), "x.npy.*\n.*numpy.save"),
    "arrays: larger than the memory": (lambda p: packed_zeros(p / "x.npz", 6 << 30), "unpacked, takes 6.0 GiB"),
    "arrays: objects": (lambda p: _npz(p / "x.npz", a=np.array([{}], object)), "Python objects"),
    "arrays: wrong shape": (lambda p: _npz(p / "x.npz", a=ZEROS[:, :1]), "float32.*1x1x8x8"),
    "arrays: wrong dtype": (lambda p: _npz(p / "x.npz", a=ZEROS.astype(np.float64)), "float64"),
    "arrays: wrong rank": (lambda p: _npz(p / "x.npz", a=ZEROS[0]), "Stack the inputs"),
    "arrays: none": (lambda p: _npz(p / "x.npz", a=ZEROS[:0]), "Stack the inputs"),
    "arrays: input missing": (lambda p: _npz(p / "x.npz", images=ZEROS, b=ZEROS), "Did you mean images"),
    "arrays: too few labels": (lambda p: _npz(p / "x.npz", a=ZEROS, labels=[1]), "number of samples"),
    "arrays: strange labels": (lambda p: _npz(p / "x.npz", a=ZEROS, labels=[1.5, 2]), "Give labels as"),
    "Python: no file": (lambda p: f"{p}/no.py:f", "no file"),
    "Python: no name": (lambda p: ":f", "':f' names no module"),
    "Python: relative": (lambda p: ".m:f", "'.m:f' names no module"),
    "Python: no module": (lambda p: "no_such_module:f", "no_such_module"),
    "Python: no attribute": (lambda p: f"{write(p / 'my_data.py', CODE)}:no", "has no 'no'"),
    "Python: no samples": (lambda p: f"{write(p / 'my_data.py', CODE)}:nothing", "returns no samples"),
    "Python: no sequence": (lambda p: f"{write(p / 'my_data.py', CODE)}:number", "returns int"),
    "Python: no picture": (lambda p: f"{write(p / 'my_data.py', CODE)}:strange", "a object is not a picture"),
    "Python: picture of 32 bits": (lambda p: f"{write(p / 'my_data.py', CODE)}:deep", "mode I.* is not a picture"),
    "Python: boxes and classes differ": (lambda p: f"{write(p / 'my_data.py', CODE)}:half", "1 boxes, 2 classes"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_name_what_is_wrong(tmp_path: Path, case: str) -> None:
    make, message = REFUSALS[case]
    data = make(tmp_path)
    with pytest.raises(EdgecError, match=message):
        list(opened(data))  # type: ignore[arg-type]


def test_pictures_do_not_feed_two_inputs(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(BadOption, match="image, scale"):
        opened(tmp_path, SPEC, SECOND)
