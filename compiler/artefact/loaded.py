"""`Loaded`: an artefact that is ready to run, for tensors and for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import numpy as np

from edgec.application.predictor import Predictor, decoder_for_people
from edgec.application.results.base import Result
from edgec.artefact.manifest import Manifest
from edgec.data.any_picture import AnyPicture
from edgec.data.decoders.base import Decoder
from edgec.errors import CannotRunHere
from edgec.model.signature import TensorSpec
from edgec.targets.base import Runner

Array = np.ndarray[Any, Any]


class Loaded:
    """The artefact's runner, see `edgec.targets.base.Runner`, which also takes pictures and returns typed results."""

    def __init__(self, runner: Runner, manifest: Manifest) -> None:
        self._runner, self._manifest = runner, manifest
        self._decoders: dict[tuple[str | None, float | None], Decoder] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the model's order."""
        return self._runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the model's order."""
        return self._runner.outputs

    @property
    def description(self) -> str:
        """How the code runs, e.g. `native`, `qemu-aarch64 -cpu cortex-a72`."""
        return self._runner.description

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference: input name -> array of the input's shape and dtype, output name -> array.

        Raises:
            BadOption: An input is missing, unknown, or has another shape or dtype; nothing is converted.
        """
        return self._runner.run(feeds)

    def run_on_device(self, feeds: Mapping[str, Any], stream: Any = None) -> Mapping[str, Any]:
        """Run one inference on arrays on the GPU, of pycuda, cupy, torch ..., without copies over the host.

        Args:
            feeds: Input name -> array with the CUDA array interface or DLPack, in the type of the engine's input.
            stream: A stream of yours, by its handle or as an object of pycuda, cupy or torch: the inference is enqueued
                there, and the call returns at once. None: it waits until the outputs are there.

        Returns:
            Output name -> array on the GPU, with both protocols; valid until the next run.

        Raises:
            CannotRunHere: The artefact runs on a CPU, or the engine does not take an input's type, shape or strides.
        """
        run = getattr(self._runner, "run_on_device", None)
        if run is None:
            problem = (
                f"{self._manifest.source.name} is compiled for {self._manifest.board.name}, which runs it on its CPU"
            )
            raise CannotRunHere(problem, remedy="Give numpy arrays to `run`.")
        result: Mapping[str, Any] = run(feeds, stream)
        return result

    @overload
    def predict(self, picture: AnyPicture, *, min_score: float | None = ..., decoder: str | None = ...) -> Result: ...

    @overload
    def predict(
        self, picture: list[Any] | tuple[Any, ...], *, min_score: float | None = ..., decoder: str | None = ...
    ) -> list[Result]: ...

    def predict(self, picture: Any, *, min_score: float | None = None, decoder: str | None = None) -> Any:
        """Return the result for a picture: `Detections`, `Classification`, `Text`, `Mask` ...

        Args:
            picture: A path, an array uint8 [height, width, 3] in RGB, a PIL picture, or a list of these.
            min_score: Minimum score of an object; default: the decoder's, if it was set, else 0.25.
            decoder: How the outputs are decoded, e.g. `yolov8`; default: the artefact's decoder.

        Returns:
            The result, in pixels of the picture after rotation by its EXIF orientation; for a list, a list of
                results.

        Raises:
            BadOption: The picture cannot be read, the network takes no pictures, or no decoder fits.
        """
        return self.predictor(min_score=min_score, decoder=decoder).predict(picture)

    def predictor(self, *, min_score: float | None = None, decoder: str | None = None) -> Predictor:
        """Return what `predict` predicts with; its `timed` says how long each stage took.

        Raises:
            BadOption: There is no decoder, or it does not take these settings.
        """
        key = (decoder, min_score)
        if key not in self._decoders:
            self._decoders[key] = decoder_for_people(self._manifest.application, decoder, min_score)
        how = self._manifest.options.preprocess
        return Predictor(self._runner.run, self._runner.inputs, how, self._decoders[key])

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the wall time of each of `runs` inferences, in seconds, after `warmup` warm-up runs."""
        return self._runner.bench(feeds, warmup=warmup, runs=runs)

    def close(self) -> None:
        """Free all resources; the artefact cannot run any more. The end of a `with` block does this, too."""
        self._runner.close()

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        manifest = self._manifest
        reads = f", read by {manifest.application.decoder}" if manifest.application else ""
        return f"<Loaded: {manifest.source.name} for {manifest.board.name}, {self.description}{reads}>"
