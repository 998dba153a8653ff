"""Where a picture lies in the input, for each way of resizing, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgec.data.placement import Placement
from edgec.data.preprocess import picture_to_tensor, place_picture, read_input, read_picture
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing
from edgec.validation import parse_settings

SPEC = TensorSpec(name="x", shape=(1, 3, 48, 320), dtype="float32")
SQUARE = TensorSpec(name="x", shape=(1, 3, 64, 64), dtype="float32")


def half_red(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste((255, 0, 0), (0, 0, width // 2, height))
    return picture


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop", "line"])
@pytest.mark.parametrize("size", [(64, 64), (100, 50), (37, 91), (900, 700)])
def test_boxes_go_back_to_where_they_came_from(resize: str, size: tuple[int, int]) -> None:
    how = Preprocessing(resize=resize)
    _, placement = place_picture(half_red(*size), SPEC, how)
    assert placement.original == size
    assert placement.network == (320, 48)
    box = np.array([[0.0, 0.0, *size], [1.5, 2.25, size[0] / 2, size[1] / 3]])
    scale, offset = np.tile(placement.scale, 2), np.tile(placement.offset, 2)
    np.testing.assert_allclose(placement.boxes_to_original(box * scale + offset), box, atol=1e-9)


def test_boxes_are_clipped_to_the_picture() -> None:
    placement = Placement((100, 50), (64, 64), (0.64, 0.64), (0.0, 16.0))
    got = placement.boxes_to_original(np.array([[-5.0, 0.0, 70.0, 64.0]]))
    np.testing.assert_array_equal(got, [[0, 0, 100, 50]])


def test_letterbox_puts_the_picture_in_the_middle_of_grey() -> None:
    tensor, placement = place_picture(half_red(100, 50), SQUARE, Preprocessing(resize="letterbox"))
    assert (placement.scale, placement.offset) == ((0.64, 0.64), (0.0, 16.0))
    np.testing.assert_allclose(tensor[0, :, 15, 32], 114 / 255, rtol=1e-6)
    np.testing.assert_allclose(tensor[0, :, 16, 0], [1, 0, 0])


def test_crop_keeps_the_middle_as_torchvision_does() -> None:
    """Resize(73) and CenterCrop(64), by their formulas: 64 / 0.875 = 73.14, int(73 * 200 / 120), round(9 / 2) ..."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8))
    tensor, placement = place_picture(picture, SQUARE, Preprocessing(resize="crop"))
    resized = picture.resize((121, 73), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((28, 4, 92, 68)), np.float32).transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_allclose(tensor[0], expected, atol=1e-6)
    assert placement.offset == (-28.0, -4.0)


def test_line_keeps_the_height_and_pads_with_zeros() -> None:
    how = Preprocessing(resize="line", colour="bgr", mean=(0.5,), std=(0.5,))
    tensor, placement = place_picture(half_red(100, 24), SPEC, how)
    assert placement.scale == (2.0, 2.0)
    np.testing.assert_allclose(tensor[0, :, 20, 10], [-1, -1, 1])  # red, as BGR
    np.testing.assert_array_equal(tensor[0, :, :, 200:], 0)
    assert (tensor[0, :, :, :200] != 0).all()


def test_line_squeezes_what_is_too_long() -> None:
    _, placement = place_picture(half_red(1000, 24), SPEC, Preprocessing(resize="line"))
    assert placement.scale == (0.32, 2.0)


def test_maps_go_back_pixel_by_pixel() -> None:
    classes = np.array([[1, 2], [3, 4]])  # a quarter of the 64 x 64 input each
    placement = Placement((4, 2), (64, 64), (16.0, 16.0), (0.0, 16.0))
    np.testing.assert_array_equal(placement.map_to_original(classes, 255), [[1, 1, 2, 2], [3, 3, 4, 4]])
    cropped = Placement((4, 2), (2, 2), (1.0, 1.0), (-1.0, 0.0))
    np.testing.assert_array_equal(cropped.map_to_original(classes, 255), [[255, 1, 2, 255], [255, 3, 4, 255]])


def test_settings_on_the_command_line() -> None:
    how = parse_settings("resize=crop,crop_fraction=0.9,mean=0.5/0.5/0.5", Preprocessing, "--preprocess")
    assert (how.resize, how.crop_fraction, how.mean) == ("crop", 0.9, (0.5, 0.5, 0.5))
    with pytest.raises(BadOption, match="crop_fraction"):
        parse_settings("crop_fraction=0", Preprocessing, "--preprocess")


def test_grey_picture_and_nhwc() -> None:
    spec = TensorSpec(name="x", shape=(1, 8, 16, 1), dtype="uint8")
    how = Preprocessing(colour="grey", layout="NHWC", scale=1)
    assert (
        picture_to_tensor(Image.new("RGB", (5, 5), "white"), spec, how).tolist() == np.full((1, 8, 16, 1), 255).tolist()
    )


@pytest.mark.parametrize("setting", ["mean=0.5/0.5", "std=1/1/1/1", "colour=grey,mean=0/0/0", "colour=bgr,std=1/1"])
def test_there_is_one_mean_for_each_channel(setting: str) -> None:
    with pytest.raises(BadOption, match=r"--preprocess: (mean|std) has \d values for \d channels"):
        parse_settings(setting, Preprocessing, "--preprocess")


@pytest.mark.parametrize("setting", ["std=0", "std=1/0/1", "std=-1", "scale=nan", "mean=0/inf/0", "std=inf"])
def test_settings_that_give_no_numbers_are_refused(setting: str) -> None:
    with pytest.raises(BadOption, match=f"--preprocess: {setting.partition('=')[0]}"):
        parse_settings(setting, Preprocessing, "--preprocess")


@pytest.mark.parametrize(
    ("dtype", "settings", "value"),
    [
        ("uint8", "scale=1/255", "0.00392157"),
        ("uint8", "scale=1,mean=128", "-128"),
        ("int8", "scale=1", "128"),
        ("uint8", "scale=2", "256"),
        ("bool", "scale=1", "2"),
    ],
)
def test_pixels_that_an_integer_input_cannot_hold_are_refused(dtype: str, settings: str, value: str) -> None:
    """Else the picture would be black, or wrap around; even where this one has no such pixel."""
    how = parse_settings(settings.replace("1/255", str(1 / 255)), Preprocessing, "--preprocess")
    with pytest.raises(BadOption, match=f"input x: {dtype}.*: {value}") as caught:
        picture_to_tensor(Image.new("RGB", (5, 5), "black"), SPEC.model_copy(update={"dtype": dtype}), how)
    assert "--preprocess scale=1" in str(caught.value.remedy)


@pytest.mark.parametrize(("dtype", "mean"), [("uint8", 0), ("int8", 128), ("int32", 1000), ("float16", 0.5)])
def test_pixels_that_the_input_can_hold_arrive(dtype: str, mean: float) -> None:
    how = Preprocessing(scale=1, mean=(mean,))
    tensor = picture_to_tensor(Image.new("RGB", (5, 5), (0, 7, 255)), SPEC.model_copy(update={"dtype": dtype}), how)
    assert (tensor.dtype.name, tensor[0, :, 0, 0].tolist()) == (dtype, [-mean, 7 - mean, 255 - mean])


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_pictures_of_16_bits_are_brought_to_8(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)).save(tmp_path / f"grey.{suffix}")
    assert np.asarray(read_picture(tmp_path / f"grey.{suffix}")).tolist() == [[0, 0, 1, 0x80, 0xFF]]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.array([[0, 70000]], dtype)).save(tmp_path / "depth.tif")
    with pytest.raises(BadOption, match=r"depth\.tif: its 32-bit pixels have no known range"):
        read_picture(tmp_path / "depth.tif")


def test_a_picture_is_turned_as_viewers_turn_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    half_red(20, 10).save(tmp_path / "turned.png", exif=exif)
    spec = TensorSpec(name="x", shape=(1, 3, 20, 10), dtype="float32")
    tensor = read_input(tmp_path / "turned.png", spec, Preprocessing())
    np.testing.assert_array_equal(tensor[0, :, 0, 0], [1, 0, 0])  # red above
    np.testing.assert_array_equal(tensor[0, :, 19, 0], [0, 0, 1])  # blue below


def test_a_picture_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_red(100, 50).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadOption, match=r"bomb\.png.*decompression bomb"):
        read_input(tmp_path / "bomb.png", SPEC, Preprocessing())


def test_an_archive_named_npy_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, x=np.zeros(SPEC.shape, np.float32))
    with pytest.raises(BadOption, match=r"x\.npy") as caught:
        read_input(tmp_path / "x.npy", SPEC, Preprocessing())
    assert "numpy.save" in str(caught.value.remedy)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_an_input_may_be_one_picture_without_a_batch(layout: str) -> None:
    shape = (1, 3, 24, 48) if layout == "NCHW" else (1, 24, 48, 3)
    batch = TensorSpec(name="x", shape=shape, dtype="float32")
    alone = TensorSpec(name="x", shape=shape[1:], dtype="float32")
    how = Preprocessing(layout=layout, resize="letterbox")
    expected, placement = place_picture(half_red(100, 24), batch, how)
    tensor, same = place_picture(half_red(100, 24), alone, how)
    np.testing.assert_array_equal(tensor, expected[0])
    assert same == placement
