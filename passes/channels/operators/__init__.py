"""Operators through which channels are followed: one file per kind, found automatically; plugins add more."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import onnx_ir as ir

from edgec import registry
from edgec.passes.channels.operator import ChannelOperator


def operator_of(node: ir.Node) -> ChannelOperator | None:
    """Return the channel operator for `node`; None if its channels cannot be followed.

    Raises:
        BadOption: An operator of a plugin cannot be imported.
    """
    return _operators().get((node.domain, node.op_type))


@cache
def _operators() -> dict[tuple[str, str], ChannelOperator]:
    return {(each.domain, op): each for each in (*_of_plugins(), *_own()) for op in each.ops}


def _own() -> Iterator[ChannelOperator]:
    for module in pkgutil.iter_modules(__path__):
        yield from getattr(import_module(f"{__name__}.{module.name}"), "OPERATORS", ())


def _of_plugins() -> Iterator[ChannelOperator]:
    for name in registry.names("channel_operators"):
        yield registry.load("channel_operators", name)
