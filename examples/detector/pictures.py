"""Rendered pictures as `edgec --data pictures.py:calibration` takes them: picture, boxes and classes of each."""

from dataset import CLASSES, SPLIT_SEEDS, Sample, render

FEW, MANY = 48, 240


class Rendered:
    """The first pictures of a split, drawn when asked for."""

    classes = CLASSES

    def __init__(self, split: str, count: int) -> None:
        self._seed, self._count = SPLIT_SEEDS[split], count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return render(self._seed, index)


def calibration() -> Rendered:
    """Return enough pictures for a demonstration."""
    return Rendered("calibration", FEW)


def decided() -> Rendered:
    """Return enough pictures to decide on a hundredth of mAP."""
    return Rendered("calibration", MANY)
