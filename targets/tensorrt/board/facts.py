"""Facts on which an engine depends: they are stored beside it, and compared before it is loaded."""

import hashlib
import json
import re
from typing import Any, Dict, Optional, Tuple

from .failure import Failure
from .settings import COPY_AGAIN, Settings

ENGINE, ENGINE_FACTS = "model.engine", "engine.json"
RECIPE = 2  # raise when the way of building changes: older engines are then built again


def check_tensorrt() -> str:
    """Return the version of this Python's `tensorrt`.

    Raises:
        Failure: There is none.
    """
    try:
        import tensorrt  # noqa: PLC0415  # absent on every machine but the board

        return str(tensorrt.__version__)
    except (ImportError, OSError, AttributeError) as error:  # AttributeError: an empty folder of that name
        raise Failure(
            "this Python has no TensorRT ({}). JetPack installs it for /usr/bin/python3: use that one, or "
            "sudo apt-get install nvidia-jetpack python3-libnvinfer".format(error)
        ) from error


def version_of(text: str) -> Tuple[int, int, int]:
    """Return (major, minor, patch) of a TensorRT version: `8.2.1.8`, `10.3`, a Debian package's `8.2.1-1+cuda10.2`.

    Raises:
        Failure: The text is not a version.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise Failure("{!r} is not a version of TensorRT.".format(text))
    major, minor, patch = found.groups("0")
    return int(major), int(minor), int(patch)


def check_version(settings: Settings, local: str) -> Optional[str]:
    """Return a warning if TensorRT `local` is newer than the version for which the model was prepared.

    Raises:
        Failure: It is older: its parser may not support the model, or read it wrongly.
    """
    wanted, found = version_of(settings.tensorrt)[:2], version_of(local)[:2]
    if found == wanted:
        return None
    if found < wanted:
        raise Failure(
            "this board has TensorRT {}, the artefact was compiled for {}: compile it again with a board file that "
            'says software.tensorrt = "{}".'.format(local, settings.tensorrt, local)
        )
    return "this board has TensorRT {}, which is newer than {}, the version the artefact was compiled for.".format(
        local, settings.tensorrt
    )


def facts_of(settings: Settings, local: str, sm: int, device: Optional[str]) -> Dict[str, Any]:
    """Return all facts on which an engine depends, and their hash under `key`.

    Raises:
        Failure: The model is not the one that was compiled, or the calibration cache is missing.
    """
    model = hash_file(settings.model)
    if model != settings.model_sha256:
        raise Failure("{} was altered or copied incompletely. {}".format(settings.model, COPY_AGAIN))
    facts: Dict[str, Any] = {
        "model_sha256": model,
        "tensorrt": local,
        "sm": sm,
        "device": device,
        "precision": settings.precision,
        "workspace_mib": settings.workspace_mib,
        "profiles": {name: [list(shape) for shape in profile] for name, profile in settings.profiles.items()},
        "fp32_layers": list(settings.fp32_layers),
        "calibration_sha256": hash_file(settings.calibration_cache) if settings.calibration_cache else None,
        "recipe": RECIPE,
    }
    facts["key"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()
    return facts


def why_not_usable(settings: Settings, facts: Dict[str, Any]) -> Optional[str]:
    """Return the reason why the stored engine cannot be used for `facts`, without loading it; None if it can."""
    try:
        with open(settings.path(ENGINE_FACTS), encoding="utf-8") as file:
            stored = json.load(file)
        digest = hash_file(settings.path(ENGINE))
    except (OSError, ValueError, Failure):
        return "there is no engine yet"
    if not isinstance(stored, dict) or stored.get("engine_sha256") != digest:
        return "the stored engine is damaged"
    for name, value in facts.items():
        if stored.get(name) != value:
            return "the stored engine was built for {} {}, but here it is {}".format(name, stored.get(name), value)
    return None


def hash_file(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        Failure: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise Failure("{}: {}. {}".format(path, error.strerror, COPY_AGAIN)) from error
    return digest.hexdigest()
