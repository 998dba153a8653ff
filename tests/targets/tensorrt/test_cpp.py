"""The C++ runner on the board does what edgec does on the host: the same inputs to the bit, the same boxes."""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgec
from edgec.artefact.files import write_sums
from edgec.data.decoders.detections import Detections
from edgec.data.decoders.read import read_decoder
from edgec.data.preprocess import place_picture, read_picture
from edgec.data.samples import Sample
from edgec.preprocessing import Preprocessing
from tests.support.cpp_runner import ROOT, VERSION_OF, Run, detect
from tests.support.decoder_cases import SIZE, outputs_of, write_manifest

PICTURES = {
    "wide": (97, 31),
    "tall": (20, 71),
    "same": SIZE,
    "small": (5, 3),
    "flat": (301, 9),
    "large": (1501, 222),
    "half": (96, 64),
    "an eighth": (384, 256),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, (width, height) in PICTURES.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing(),
        Preprocessing(resize="letterbox", colour="bgr", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        Preprocessing(resize="letterbox", layout="NHWC", scale=1.0),
        Preprocessing(resize="crop", mean=(0.5,), std=(0.5,)),
        Preprocessing(resize="crop", crop_fraction=1.0, colour="grey"),
        Preprocessing(resize="line", mean=(0.5,), std=(0.5,)),
        Preprocessing(resize="line", colour="grey", layout="NHWC"),
    ],
    ids=lambda how: f"{how.resize}-{how.colour}-{how.layout}",
)
def test_inputs_are_the_same_to_the_bit(pictures: Path, tmp_path: Path, how: Preprocessing) -> None:
    spec = write_manifest(tmp_path, how, {})
    done = detect(pictures, "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
    assert (done.code, done.stderr) == (0, "")
    for name in PICTURES:
        found = np.fromfile(tmp_path / f"inputs/{name}.f32", np.float32).reshape(spec.shape)
        expected, _ = place_picture(Image.open(pictures / f"{name}.png"), spec, how)
        # Pillow 13 resizes a tall picture's columns first, which rounds differently in between: by one of 255.
        step = how.scale / min(how.std) * 1.001 if name == "tall" else 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=step, err_msg=name)


@pytest.mark.parametrize("setting", ["mean", "std"])
def test_a_mean_for_some_channels_only_is_refused(pictures: Path, tmp_path: Path, setting: str) -> None:
    write_manifest(tmp_path, Preprocessing.model_construct(**{setting: (0.5, 0.5)}), {})
    done = detect(pictures, "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
    assert done.code == 2
    assert "mean and std need one value, or one for each" in done.stderr


def assert_same(run: Run, expected: Detections, classes: list[str]) -> None:
    found = [re.fullmatch(r"\S+: (\S+) (\S+)  (\S+) (\S+) (\S+) (\S+)", line) for line in run.stdout.splitlines()]
    assert len(found) == len(expected.boxes) > 0
    labels = [classes[label] if classes else str(label) for label in expected.labels]
    assert [match and match[1] for match in found] == labels
    np.testing.assert_allclose([float(match[2]) for match in found if match], expected.scores, atol=0.006)
    boxes = [[float(match[corner]) for corner in (3, 4, 5, 6)] for match in found if match]
    np.testing.assert_allclose(boxes, expected.boxes, atol=2e-3)


# With an engine


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's detector as compiled for a TX2, with an "engine" for the stub."""
    example = ROOT / "examples/detector"
    folder = tmp_path_factory.mktemp("detector") / "detector.tx2"
    edgec.compile(example / "detector.onnx", target="jetson-tx2", output=folder)
    return folder


def built(artefact: Path, generation: int) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    lines = []
    for kind in ("input", "output"):
        for port in manifest[f"{kind}s"]:
            lines.append(" ".join([kind, manifest["runtime"]["names"][port["name"]], *map(str, port["shape"])]))
    (artefact / "model.engine").write_text("\n".join(lines) + "\n")
    facts = {"tensorrt": VERSION_OF[generation], "sm": 62}
    (artefact / "engine.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("generation", [8, 10])
def test_a_picture_goes_through_the_engine_and_is_drawn(
    detector: Path, pictures: Path, tmp_path: Path, generation: int
) -> None:
    built(detector, generation)
    artefact = edgec.Artefact.open(detector)
    record = ROOT / "examples/detector/detector.json"
    for index, array in enumerate(artefact.golden_outputs().values()):
        array.tofile(tmp_path / f"output.{index}.f32")
    done = detect(
        pictures / "large.png", "--artefact", detector, "--settings", record, "--min_score", "0.01",
        "--output", tmp_path / "drawn", generation=generation, STUB_FOLDER=str(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.stderr
    spec, how = artefact.manifest.inputs[0].spec, artefact.manifest.options.preprocess
    picture = Image.open(pictures / "large.png")
    given, placement = place_picture(picture, spec, how)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "input.f32", np.float32), given.ravel())
    decoder = read_decoder(str(record)).model_copy(update={"min_score": 0.01})
    assert_same(done, decoder(artefact.golden_outputs(), Sample("large", {}, None, placement)), list(decoder.classes))
    drawn = Image.open(tmp_path / "drawn/large.png")
    assert drawn.size == picture.size
    assert (np.asarray(drawn) != np.asarray(picture)).any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"STUB_VERSION": "8203"}, "built by TensorRT 8.2.1.8, but this is version 8203: run ./build.sh again"),
        ({"STAND_IN_SM": "53"}, "built for sm_62, but this GPU is sm_53"),
        ({"STAND_IN_CUDA_FAULT": "cudaMalloc"}, "cudaMalloc: out of memory"),
        ({"STUB_FOLDER": "/nowhere"}, "could not start the inference"),
    ],
)
def test_what_does_not_fit_the_board_is_one_message(
    detector: Path, pictures: Path, changed: dict[str, str], said: str
) -> None:
    built(detector, 8)
    done = detect(pictures / "small.png", "--artefact", detector, **changed)
    assert done.code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_engine_says_how_to_build_it(pictures: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path, Preprocessing(), {"out0": (1, 2)})
    done = detect(pictures, "--artefact", tmp_path)
    assert (done.code, "run ./build.sh there first" in done.stderr) == (2, True)


def test_settings_come_from_the_artefact_the_file_and_flags(pictures: Path, tmp_path: Path) -> None:
    """The later win: the artefact's decoder, then the YAML file's, then flags."""
    outputs = outputs_of("yolov8", np.random.default_rng(1))
    write_manifest(
        tmp_path,
        Preprocessing(),
        {"out0": outputs["out0"].shape},
        {"decoder": "yolov8", "settings": {"max_overlap": 1.0, "min_score": 0.5, "output": "out0"}},
    )
    outputs["out0"].tofile(tmp_path / "small.0.f32")
    (tmp_path / "run.yaml").write_text(
        f"# settings of a run\nartefact: {tmp_path}\nsource: {pictures / 'small.png'}\noutputs_from: {tmp_path}\n"
        "min_score: 0.9\nclasses: [ring, cross, star]\n"
    )
    strict = detect("--settings", tmp_path / "run.yaml")
    loose = detect("--settings", tmp_path / "run.yaml", "--min_score", "0.8")
    scores = outputs["out0"][0, 4:]
    assert len(strict.stdout.splitlines()) == (scores >= 0.9).sum()
    assert len(loose.stdout.splitlines()) == (scores >= 0.8).sum()
    assert {line.split()[1] for line in loose.stdout.splitlines()} <= {"ring", "cross", "star"}


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("hue: red", (), "hue is not a setting"),
        ("[1, 2", (), "run.yaml"),
        ("decoder: yolov8\nmin_score: high", (), "high is not a number"),
        ("min_score: 0.5", (), "min_score: the artefact has no decoder; give one by --decoder"),
        ("", ("--nonsense", "1"), "unknown option --nonsense"),
        ("", ("--output",), "--output needs a value"),
        ("", ("--decoder", "yolov99"), "decoder: yolov99 is not one of boxes, centernet"),
        ("outputs:\n  - name: x", (), "nested values as in JSON"),
        ("source: nowhere.png", (), "nowhere.png: no such file or folder"),
        ("source: camera:77", (), "cannot open /dev/video77"),
        ("artefact: nowhere", (), "cannot read nowhere/SHA256SUMS"),
    ],
)
def test_wrong_settings_are_one_message(pictures: Path, tmp_path: Path, text: str, arguments: Any, said: str) -> None:
    write_manifest(tmp_path, Preprocessing(), {"out0": (1, 2)})
    preset = {"artefact": str(tmp_path), "source": str(pictures / "small.png")}
    kept = "".join(f"{key}: {value}\n" for key, value in preset.items() if not text.startswith(key))
    (tmp_path / "run.yaml").write_text(kept + text)
    done = detect("--settings", tmp_path / "run.yaml", *arguments)
    assert done.code == 2
    assert said in done.stderr
    assert done.stderr.startswith("edgec-detect: ")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, Preprocessing(), {})
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = detect(tmp_path / "broken.png", "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
    assert done.code == 2
    assert "broken.png" in done.stderr


def test_it_is_shipped_in_the_artefact(detector: Path) -> None:
    shipped = {path.name for path in (detector / "cpp").iterdir()}
    assert {"CMakeLists.txt", "main.cc", "engine.cc", "engine.hpp"} <= shipped
    assert not [name for name in shipped if name.endswith(".py")]


# Files of pictures, read by a program in which every read and write is watched


def encoded(folder: Path, name: str, picture: Image.Image, **options: Any) -> Path:
    picture.save(folder / name, **options)
    return folder / name


def test_pictures_of_every_kind_are_read_as_on_the_host(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (*SIZE[::-1], 4), np.uint8)
    smooth = np.cumsum(pixels[..., :3] // 100, axis=1, dtype=np.uint8)
    colour, alpha = Image.fromarray(smooth), Image.fromarray(pixels)
    folder = tmp_path / "pictures"
    folder.mkdir()
    pictures = [
        encoded(folder, "baseline.jpg", colour, quality=90),
        encoded(folder, "progressive.jpeg", colour, progressive=True, subsampling=2),
        encoded(folder, "light.jpg", colour.convert("L")),
        encoded(folder, "grey.png", colour.convert("L")),
        encoded(folder, "bits.png", colour.convert("1")),
        encoded(folder, "palette.png", colour.quantize(16)),
        encoded(folder, "clear.png", alpha),
        encoded(folder, "clear_grey.png", alpha.convert("LA")),
        encoded(folder, "deep.png", Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)),
        encoded(folder, "inks.jpg", colour.convert("CMYK"), quality=90),
        encoded(folder, "dot.png", Image.new("RGB", (1, 1), "red")),
        encoded(folder, "wide.png", Image.new("RGB", (20_000, 2), "green")),
        encoded(folder, "high.png", Image.new("RGB", (2, 20_000), "blue")),
    ]
    spec = write_manifest(tmp_path, Preprocessing(), {})
    done = detect(folder, "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
    assert (done.code, done.stderr) == (0, "")
    for path in pictures:
        found = np.fromfile(tmp_path / f"inputs/{path.stem}.f32", np.float32).reshape(spec.shape)
        expected, _ = place_picture(read_picture(path), spec, Preprocessing())
        np.testing.assert_array_equal(found, expected, err_msg=path.name)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_altered_pictures_are_read_or_refused(tmp_path: Path, suffix: str) -> None:
    """Flipped, cut and overwritten bytes; what a decoder does to memory that is not its own ends the program."""
    rng = np.random.default_rng(5)
    good = encoded(tmp_path, f"good.{suffix}", Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))).read_bytes()
    write_manifest(tmp_path, Preprocessing(), {})
    for number in range(60):
        bytes_ = bytearray(good)
        for at in rng.integers(0, len(good), rng.integers(1, 5)):
            bytes_[at] = rng.integers(0, 256)
        (tmp_path / f"bad.{suffix}").write_bytes(bytes_[: rng.integers(1, len(good) + 1)] if number % 2 else bytes_)
        done = detect(tmp_path / f"bad.{suffix}", "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
        assert done.code in (0, 2), done.stderr
        assert done.code == 0 or re.fullmatch(r"edgec-detect: .*bad.*\n", done.stderr), done.stderr


def test_other_formats_pipes_and_giants_are_refused(tmp_path: Path) -> None:
    spec = write_manifest(tmp_path, Preprocessing(), {})
    assert spec
    encoded(tmp_path, "bitmap.png", Image.new("RGB", (4, 4)), format="BMP")
    os.mkfifo(tmp_path / "pipe.png")
    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "giant.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    (tmp_path / "empty.png").touch()
    for name, said in (
        ("bitmap.png", "neither a JPEG nor a PNG"),
        ("pipe.png", "is not a plain file"),
        ("giant.png", "giant.png: "),
        ("empty.png", "neither a JPEG nor a PNG"),
    ):
        done = detect(tmp_path / name, "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
        assert done.code == 2
        assert said in done.stderr


# What a manifest and settings may say


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["inputs"][0].update(shape=[1, 3, 0, 48]), "is not a picture"),
        (lambda data: data["inputs"][0].update(shape=[1, 3, 1 << 40, 1 << 40]), "impossible shape"),
        (lambda data: data["inputs"][0].update(shape=[1, 3, -1, 48]), "impossible shape"),
        (
            lambda data: data["options"]["measuring"]["preprocess"].update(crop_fraction=0, resize="crop"),
            "a value is out of range",
        ),
        (lambda data: data["options"]["measuring"]["preprocess"].update(mean=[]), "mean and std need one value"),
        (lambda data: data["options"]["measuring"]["preprocess"].update(scale="nan"), "a value is out of range"),
        (lambda data: data.update(inputs=[]), "pictures can feed one input only"),
        (lambda data: data.update(options=[[]]), "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(pictures: Path, tmp_path: Path, change: Any, said: str) -> None:
    write_manifest(tmp_path, Preprocessing(), {})
    data = json.loads((tmp_path / "manifest.json").read_text())
    change(data)
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    write_sums(tmp_path, ())
    done = detect(pictures / "small.png", "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
    assert (done.code, said in done.stderr) == (2, True), done.stderr


def test_an_altered_manifest_is_refused_before_it_is_read(pictures: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path, Preprocessing(), {})
    for text, said in (("{}", "was altered or damaged"), ("[" * 200_000, "nested too deeply")):
        (tmp_path / "manifest.json").write_text(text)
        if text != "{}":
            write_sums(tmp_path, ())
        done = detect(pictures / "small.png", "--artefact", tmp_path, "--inputs_to", tmp_path / "inputs")
        assert (done.code, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("text", ["strides: [0]", "strides: [-8]", "variances: [0.1]", "min_score: .nan"])
def test_settings_that_would_be_computed_with_are_checked(pictures: Path, tmp_path: Path, text: str) -> None:
    outputs = outputs_of("ssd", np.random.default_rng(0))
    write_manifest(tmp_path, Preprocessing(), {name: array.shape for name, array in outputs.items()})
    for index, array in enumerate(outputs.values()):
        array.tofile(tmp_path / f"small.{index}.f32")
    for kind in ("ssd", "yolox"):
        (tmp_path / "run.yaml").write_text(f"decoder: {kind}\noutputs_from: {tmp_path}\n{text}\n")
        done = detect(pictures / "small.png", "--artefact", tmp_path, "--settings", tmp_path / "run.yaml")
        assert (done.code, done.stderr.count("\n")) == (2, 1), done.stderr


def test_names_do_not_reach_the_terminal_as_commands(pictures: Path, tmp_path: Path) -> None:
    hostile = "a\x1b]0;title\x07\x9b31mb"
    write_manifest(tmp_path, Preprocessing(), {hostile: (1, 1)})
    np.zeros(1, np.float32).tofile(tmp_path / "small.0.f32")
    done = detect(pictures / "small.png", "--artefact", tmp_path, "--outputs_from", tmp_path)
    assert done.stdout == "small.png: a?]0;title???31mb  min 0  max 0\n"
