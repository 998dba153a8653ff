"""Samples from picture files, which a `Listing` names with their labels; each file is read when it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgec.data.labels import Boxes, Label
from edgec.data.preprocess import place_picture, read_picture
from edgec.data.samples import Sample, Samples
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Entry:
    """One picture file and its label."""

    path: Path
    label: Label | None = None


@dataclass(frozen=True)
class Listing:
    """Pictures of a data set in a fixed order, and the names of the classes by class index."""

    entries: tuple[Entry, ...]
    classes: tuple[str, ...] = ()


class PictureSamples(Samples):
    """The pictures of `listing`, preprocessed for a network with one input.

    Raises:
        BadOption: There are no pictures, or the network has several inputs.
    """

    def __init__(
        self, listing: Listing, inputs: Sequence[TensorSpec], preprocessing: Preprocessing, *, source: str
    ) -> None:
        if not listing.entries:
            raise BadOption(f"{source} lists no pictures")
        self.classes = listing.classes
        self._entries = listing.entries
        self._spec = picture_input(inputs)
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self._entries[index]
        return picture_sample(str(entry.path), read_picture(entry.path), entry.label, self._spec, self._preprocessing)


def picture_sample(
    name: str, picture: Image.Image, label: Label | None, spec: TensorSpec, preprocessing: Preprocessing
) -> Sample:
    """Return `picture` as a sample for input `spec`."""
    array, placement = place_picture(picture, spec, preprocessing)
    if isinstance(label, Boxes):
        label = label.absolute(placement.original)
    return Sample(name, {spec.name: array}, label, placement)


def picture_input(inputs: Sequence[TensorSpec]) -> TensorSpec:
    """Return the network's only input.

    Raises:
        BadOption: It has several inputs.
    """
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise BadOption(
            f"pictures can feed one input only, but the model has {len(inputs)}: {names}", remedy="Give a .npz file."
        )
    return inputs[0]


def is_picture(path: Path, folder: Path) -> bool:
    """Whether `path` has the suffix of a picture file and is not hidden, from `folder` downwards."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in PICTURE_SUFFIXES and not hidden and path.is_file()


def find_pictures(folder: Path) -> list[Path]:
    """Return the picture files in `folder` and below, sorted by their path, without hidden files and folders.

    Raises:
        BadOption: There are no pictures.
    """
    found = _sorted(path for path in folder.rglob("*") if is_picture(path, folder))
    if not found:
        raise BadOption(f"folder {folder} contains no pictures ({' '.join(PICTURE_SUFFIXES)})")
    return found


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.as_posix())
