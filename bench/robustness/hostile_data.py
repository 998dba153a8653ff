"""Data sets with one file altered: arrays, archives, COCO, VOC, YOLO, lists of texts, pictures of all formats.

python bench/robustness/hostile_data.py [--kinds npy,npz,coco,voc,yolo,text-lines,pictures,names] [--cases 1000]
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import campaign
import numpy as np
from case import Outcome, apart, called
from PIL import Image

from edgec.application.class_names import read_classes
from edgec.data.source import open_samples
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing
from tests.support.data_sets import coco, picture, voc, write, yolo
from tests.support.hostile.mutate import mutated_bytes, mutated_json

SPEC = TensorSpec(name="image", shape=(1, 3, 8, 8), dtype="float32")


def npy(folder: Path) -> Path:
    """A batch of inputs."""
    np.save(folder / "x.npy", np.zeros((3, 3, 8, 8), np.float32))
    return folder / "x.npy"


def npz(folder: Path) -> Path:
    """Inputs and labels, packed and not."""
    save = random.choice((np.savez, np.savez_compressed))
    save(folder / "x.npz", image=np.zeros((3, 3, 8, 8), np.float32), labels=[0, 1, 1])
    return folder / "x.npz"


def yolo_with_yaml(folder: Path) -> Path:
    """Labels in text, settings in YAML."""
    yolo(folder)
    return write(folder / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n")


def text_lines(folder: Path) -> Path:
    """A list of pictures and what is written on them."""
    picture(folder / "crops" / "a b.png")
    return write(folder / "list.txt", "crops/a b.png\tone\ncrops/a b.png\t\r\n")


def pictures(folder: Path) -> Path:
    """Classified pictures, of all formats."""
    noise = np.random.default_rng(0).integers(0, 256, (19, 23, 3), np.uint8)
    for ending in ("png", "jpg", "bmp", "webp"):
        (folder / ending).mkdir()
        Image.fromarray(noise).save(folder / ending / f"a.{ending}")
    return folder


def names(folder: Path) -> Path:
    """Names of classes, as `--classes` takes them."""
    write(folder / "c.json", '{"categories": [{"id": 7, "name": "b"}, {"id": 3, "name": "a"}]}')
    write(folder / "c.yaml", "names:\n  0: a\n  1: b\n")
    write(folder / "c.txt", "a\nb\n")
    return folder / random.choice(("c.json", "c.yaml", "c.txt"))


def run(number: int, name: str) -> Outcome:
    """Read a data set in which one file is altered."""
    random.seed(number)
    with tempfile.TemporaryDirectory() as folder:
        given = KINDS[name](Path(folder))
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        path = given if given.is_file() and random.random() < 0.7 else random.choice(files)
        if path.suffix == ".json":
            path.write_text(mutated_json(path.read_text(), number), encoding="utf-8", errors="replace")
        else:
            path.write_bytes(mutated_bytes(path.read_bytes(), number))
        return called(partial(READERS.get(name, _read_samples), given))


def _read_samples(path: Path) -> None:
    for sample in open_samples(str(path), (SPEC,), Preprocessing()):
        assert sample.inputs["image"].shape == SPEC.shape


KINDS: dict[str, Callable[[Path], Path]] = {
    "npy": npy,
    "npz": npz,
    "coco": coco,
    "voc": voc,
    "yolo": yolo_with_yaml,
    "text-lines": text_lines,
    "pictures": pictures,
    "names": names,
}
READERS: dict[str, Callable[[Path], object]] = {"names": lambda path: read_classes(str(path))}


def cases(numbers: Iterable[int], name: str) -> Iterator[tuple[int, Outcome]]:
    """Yield how the cases of one kind end."""
    yield from apart(run, numbers, name=name)


if __name__ == "__main__":
    campaign.run(__doc__, {name: partial(cases, name=name) for name in KINDS}, 1000)
