"""PyTorch, which only recovery by gradients needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edgec.errors import MissingDependency
from edgec.extras import install

Tensor = Any
"""A PyTorch tensor; PyTorch is optional, so that static types do not know it."""


def pytorch() -> Any:
    """Return the module `torch`.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingDependency("recovery by gradients needs PyTorch", remedy=install("train")) from error
