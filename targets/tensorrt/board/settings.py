"""The artefact's own description: manifest.json, read and checked."""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .failure import Failure

COPY_AGAIN = "Copy the whole artefact folder again, or compile it again."


class Tensor(NamedTuple):
    """One input or output; `bound` is its name in the engine, `golden` are .npy files of its values, one per sample.

    For an output, `accepted` is its accepted error; `ranked` says that its rows are in the order of scores.
    """

    name: str
    bound: str
    shape: Tuple[int, ...]
    dtype: str
    golden: Tuple[str, ...]
    accepted: float = 0.0
    ranked: bool = False


class Profile(NamedTuple):
    """The shapes that a dynamic input may have: smallest, optimized, largest."""

    min: Tuple[int, ...]
    opt: Tuple[int, ...]
    max: Tuple[int, ...]


class Settings(NamedTuple):
    """All settings for building, verifying and timing. Sizes are in MiB.

    `profiles` are by the input's name in the engine; `fp32_layers` are the layers that stay in fp32 whatever the
    precision; `calibration_cache` holds the scales of int8 without Q/DQ.
    """

    folder: str
    model: str
    model_sha256: str
    board: str
    tensorrt: str
    sm: int
    precision: str
    workspace_mib: int
    needed_mib: int
    inputs: List[Tensor]
    outputs: List[Tensor]
    profiles: Dict[str, Profile] = {}  # noqa: RUF012  # never written to
    fp32_layers: Tuple[str, ...] = ()
    calibration_cache: Optional[str] = None

    def path(self, name: str) -> str:
        """Return the path of the file `name` of the artefact."""
        return os.path.join(self.folder, name)


def read_settings(folder: str) -> Settings:
    """Return the settings in `folder`/manifest.json.

    Raises:
        Failure: The file is missing, is not JSON, lacks a key or names a file outside `folder`.
    """
    path = os.path.join(folder, "manifest.json")
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        return _settings(folder, manifest)
    except OSError as error:
        raise Failure("{}: {}. {}".format(path, error.strerror, COPY_AGAIN)) from error
    except ValueError as error:
        raise Failure("{} is damaged: {}. {}".format(path, error, COPY_AGAIN)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Failure("{} is damaged: no usable entry {}. {}".format(path, error, COPY_AGAIN)) from error


def _settings(folder: str, manifest: Dict[str, Any]) -> Settings:
    runtime = manifest["runtime"]
    names = runtime["names"]
    return Settings(
        folder=folder,
        model=inside(folder, runtime["model"]),
        model_sha256=str(runtime["model_sha256"]),
        board=str(manifest["board"]["name"]),
        tensorrt=str(runtime["tensorrt"]),
        sm=int(runtime["sm"]),
        precision=str(runtime["precision"]),
        workspace_mib=int(runtime["workspace_mib"]),
        needed_mib=int(runtime["needed_mib"]),
        inputs=[_tensor(folder, names, entry) for entry in manifest["inputs"]],
        outputs=[_tensor(folder, names, entry) for entry in manifest["outputs"]],
        profiles={str(names[name]): _profile(entry) for name, entry in runtime.get("profiles", {}).items()},
        fp32_layers=tuple(str(name) for name in runtime.get("fp32_layers", ())),
        calibration_cache=inside(folder, runtime["calibration_cache"]) if runtime.get("calibration_cache") else None,
    )


def _profile(entry: Dict[str, Any]) -> Profile:
    return Profile(*(tuple(int(size) for size in entry[name]) for name in Profile._fields))


def _tensor(folder: str, names: Dict[str, str], entry: Dict[str, Any]) -> Tensor:
    name = str(entry["name"])
    shape = tuple(int(size) for size in entry["shape"])
    golden = tuple(inside(folder, path) for path in [entry["golden"], *entry["more"]])
    accepted, ranked = float(entry["accepted"] or 0.0), entry["rows"] is not None
    return Tensor(name, str(names[name]), shape, str(entry["dtype"]), golden, accepted, ranked)


def inside(folder: str, name: str) -> str:
    """Return the path of the file `name` of the artefact.

    Raises:
        Failure: The path leads out of the folder.
    """
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([root, path]) != root:
        raise Failure("manifest.json names a file outside the artefact: {}. {}".format(name, COPY_AGAIN))
    return path
