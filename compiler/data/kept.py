"""`KeptSamples`: samples that are read once, for uses that go through them many times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgec.array_store import ArrayStore
from edgec.data.samples import AnySamples, Sample, Samples


class KeptSamples(Samples):
    """The samples of `whole`, each of which is read when it is first needed, and then kept.

    Inputs are in memory up to a limit and in files beyond it. Another process reads everything again.
    """

    def __init__(self, whole: AnySamples) -> None:
        self.classes = whole.classes if isinstance(whole, Samples) else ()
        self._whole = whole
        self._store = ArrayStore()
        self._read: dict[int, tuple[Sample, tuple[str, ...]]] = {}  # each sample without its inputs, and their names

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._read:
            sample = self._whole[index]
            for name, array in sample.inputs.items():
                self._store.put((index, name), array)
            self._read[index] = replace(sample, inputs={}), tuple(sample.inputs)
        kept, names = self._read[index]
        return replace(kept, inputs={name: self._store.get((index, name)) for name in names})

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptSamples, (self._whole,)
