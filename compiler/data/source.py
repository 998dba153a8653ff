"""`open_samples`: opens the data that `--data` names as samples, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgec.data.pictures import Listing, PictureSamples
from edgec.data.samples import Samples
from edgec.data.sources.arrays import ArraySamples
from edgec.data.sources.coco import read_coco
from edgec.data.sources.folder import read_folder
from edgec.data.sources.python_object import ObjectSamples
from edgec.data.sources.text_lines import read_text_lines
from edgec.data.sources.voc import is_voc, read_voc
from edgec.data.sources.yolo import is_yolo, read_yolo
from edgec.errors import BadOption, refused_path
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

FILE_READERS: dict[str, Callable[[Path], Listing]] = {
    ".json": read_coco,
    ".yaml": read_yolo,
    ".yml": read_yolo,
    ".txt": read_text_lines,
    ".tsv": read_text_lines,
}
KINDS = (
    "Known kinds: a folder of pictures (classes are its sub-folders), COCO .json, a folder of VOC .xml, YOLO "
    "(data.yaml or its folder), a list path<TAB>text (.txt, .tsv), .npy, .npz, module:callable, file.py:callable."
)


def check_exists(data: str | Path | Samples | None) -> None:
    """Refuse, before long work, a path that leads nowhere; `module:callable` is looked for later.

    Raises:
        BadOption: There is no such file or folder.
    """
    if isinstance(data, (str, Path)) and ":" not in str(data) and not Path(data).exists():
        raise BadOption(f"data {data}: no such file or folder", remedy=KINDS)


def open_samples(data: str | Path | Samples, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> Samples:
    """Open the data that `data` names as samples for a network.

    Args:
        data: A path, or `module:callable`; see `KINDS`. `Samples` are returned as they are.
        inputs: The network's inputs.
        preprocessing: How pictures become its input.

    Raises:
        BadOption: There is no such data, it is of unknown kind, empty or wrong (the message names file and line), or
            it does not fit the inputs.
        MissingDependency: Reading it needs an optional package.
    """
    if isinstance(data, Samples):
        return data
    try:
        return _opened(data, inputs, preprocessing)
    except OSError as error:  # a path that the system refuses: the one given, or one that a file names
        raise refused_path(error) or error from error


def _opened(data: str | Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> Samples:
    path = Path(data)
    if path.is_dir():
        return PictureSamples(_read_folder(path), inputs, preprocessing, source=str(path))
    if path.is_file() and path.suffix in (".npy", ".npz"):
        return ArraySamples(path, inputs, preprocessing)
    if path.is_file() and path.suffix in FILE_READERS:
        return PictureSamples(FILE_READERS[path.suffix](path), inputs, preprocessing, source=str(path))
    if not path.exists() and ":" in str(data):
        return ObjectSamples(str(data), inputs, preprocessing)
    problem = f"data {data}: {'it is not of a known kind' if path.exists() else 'no such file or folder'}"
    raise BadOption(problem, remedy=KINDS)


def _read_folder(folder: Path) -> Listing:
    if is_voc(folder):
        return read_voc(folder)
    return read_yolo(folder) if is_yolo(folder) else read_folder(folder)
