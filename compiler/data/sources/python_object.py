"""Samples from the user's own Python: `module:callable` or `file.py:callable`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from edgec.data.labels import Boxes, ClassLabel, Label, Mask, Text
from edgec.data.pictures import picture_input, picture_sample
from edgec.data.preprocess import eight_bits, read_picture
from edgec.data.samples import Sample, Samples
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec, check_feeds
from edgec.preprocessing import Preprocessing

ITEM_FORMS = (
    "An item is a picture, (picture, label), (picture, boxes, classes), a dict of inputs, or an edgec Sample; a "
    "picture is a path, a PIL image, or a uint8 array [H, W, 3]; a label is an int, a str, or an integer array [H, W]."
)


class ObjectSamples(Samples):
    """Samples that a callable of the user returns.

    `callable()` returns the items; those of a sequence are read one by one when needed, other iterables are read
    to the end at once. `ITEM_FORMS` lists what an item can be; a PIL image is not rotated by its EXIF orientation.
    Class names are the attribute `classes` of the returned object, if it exists. Exceptions of the user's code
    are not caught.

    Raises:
        BadOption: There is no such callable, it returns nothing, or an item has an unknown form.
    """

    def __init__(self, name: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> None:
        self._name = name
        self._inputs = tuple(inputs)
        self._preprocessing = preprocessing
        given = _load(name)
        items = given() if callable(given) else given
        if not isinstance(items, Iterable) and not hasattr(items, "__getitem__"):
            raise BadOption(
                f"{name} returns {type(items).__name__}, which is not a sequence of samples", remedy=ITEM_FORMS
            )
        self._items = items if hasattr(items, "__len__") and hasattr(items, "__getitem__") else list(items)
        self.classes = tuple(getattr(items, "classes", ()))
        if len(self._items) == 0:
            raise BadOption(f"{name} returns no samples")

    def __reduce__(self) -> tuple[type[ObjectSamples], tuple[object, ...]]:
        """Pickle by name: in another process the user's module is not imported yet."""
        return ObjectSamples, (self._name, self._inputs, self._preprocessing)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        where = f"{self._name}[{index}]"
        item = self._items[index]
        if isinstance(item, Sample):
            check_feeds(item.inputs, self._inputs)
            return item
        if isinstance(item, Mapping):
            check_feeds(item, self._inputs)
            return Sample(where, dict(item))
        parts = item if isinstance(item, tuple) else (item,)
        picture = _picture(parts[0], where)
        return picture_sample(
            where, picture, _label(parts[1:], where), picture_input(self._inputs), self._preprocessing
        )


def _picture(value: Any, where: str) -> Image.Image:
    if isinstance(value, Image.Image) and value.mode not in ("I", "F"):  # these have no known range of pixels
        return eight_bits(value)
    if isinstance(value, str | Path):
        return read_picture(Path(value))
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and (value.ndim == 2 or value.shape[2:] == (3,)):
        return Image.fromarray(value)
    got = type(value).__name__
    if isinstance(value, np.ndarray):
        got = f"{value.dtype} array {value.shape}"
    elif isinstance(value, Image.Image):
        got = f"PIL image of 32-bit pixels (mode {value.mode})"
    raise BadOption(f"{where}: a {got} is not a picture", remedy=ITEM_FORMS)


def _label(parts: tuple[Any, ...], where: str) -> Label | None:
    if len(parts) == 2:
        try:
            return Boxes.of(*parts)
        except (TypeError, ValueError) as error:
            raise BadOption(
                f"{where}: {error}", remedy="Give boxes as [n, 4] x0 y0 x1 y1 in pixels, and classes as [n]."
            ) from error
    if not parts or parts[0] is None:
        return None
    value = parts[0]
    if isinstance(value, Label) and len(parts) == 1:
        return value
    if isinstance(value, int | np.integer):
        return ClassLabel(int(value))
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "iu":
        return Mask(value.astype(np.int64))
    raise BadOption(f"{where}: a {type(value).__name__} is not a label", remedy=ITEM_FORMS)


def _load(name: str) -> Any:
    home, _, attribute = name.rpartition(":")
    module = _load_file(Path(home)) if home.endswith(".py") else _load_module(home, name)
    if not hasattr(module, attribute):
        raise BadOption(f"data {name!r}: {home} has no {attribute!r}")
    return getattr(module, attribute)


def _load_module(home: str, name: str) -> ModuleType:
    if not home or home.startswith("."):
        raise BadOption(f"data {name!r} names no module", remedy="Give module:callable or file.py:callable.")
    _see(Path.cwd())
    try:
        return importlib.import_module(home)
    except ImportError as error:
        raise BadOption(f"data {name!r}: {error}", remedy="Give module:callable or file.py:callable.") from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadOption(f"data: no file {path}", remedy="Give module:callable or file.py:callable.")
    _see(path.parent.absolute())
    module_name = f"edgec_data_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BadOption(f"data: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


def _see(folder: Path) -> None:
    """Let the module import its siblings; the folder comes last on the path, so that it hides nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
