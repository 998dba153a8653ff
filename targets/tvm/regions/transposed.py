"""Transposed convolution as a stride-1 convolution with one set of output channels per phase, then interleaving.

Output pixel o = s*i + a - p is input i times tap a. Let phase f = (o + p) mod s and q = (o + p) div s: the taps are
a = f + s*t, the inputs i = q - t, t = 0 .. ceil(R/s) - 1: a convolution with kernel ceil(R/s) for each phase.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.targets.tvm.regions.elementwise import BINARY, PARAMETRIC, UNARY
from edgec.targets.tvm.regions.facts import Array, Convolution, Interleaving, pair
from edgec.targets.tvm.regions.graph import Graph, Node


def transposed_to_conv(graph: Graph) -> None:
    """Rewrite transposed convolutions in floats with constant weights."""
    for node in list(graph.nodes):
        weights = node.args[1] if is_plain(node) else None
        if isinstance(weights, np.ndarray):
            add_phases(graph, node, weights, weights.shape[1])


def is_plain(node: Node) -> bool:
    """Return whether `node` is a transposed convolution with one group, no dilation and known shapes."""
    if node.op != "relax.nn.conv2d_transpose" or node.dtype != "float32" or node.shape is None:
        return False
    known = isinstance(node.args[0], Node) and node.args[0].shape is not None
    return known and int(node.attrs.groups) == 1 and node.ints("dilation") == [1, 1]


def add_phases(graph: Graph, node: Node, weights: Array, channels: int) -> Node:
    """Replace `node` by a convolution and `edgec.interleave`; return the convolution.

    A phase has `channels` output channels, K of `weights` [C, K, R, S] or more: the additional ones are zero.
    """
    strides, padding, source = node.ints("strides"), node.ints("padding"), node.args[0]
    assert node.shape is not None
    phases, taps = phase_weights(weights, strides, channels)
    counts = [(o + p - 1) // s + 1 for o, p, s in zip(node.shape[2:], padding[:2], strides, strict=True)]
    after = [count - extent for count, extent in zip(counts, source.shape[2:], strict=True)]
    shape = (node.shape[0], phases.shape[0], *counts)
    conv = Node("relax.nn.conv2d", [source], shape, node.dtype, order=node.order - 0.001, call=node.call)
    conv.facts = Convolution(
        weights=phases,
        bias=np.zeros(len(phases), np.float32),
        strides=(1, 1),
        padding=(taps[0] - 1, taps[1] - 1, after[0], after[1]),
        dilation=(1, 1),
        groups=1,
    )
    shuffle = Node("edgec.interleave", [conv], node.shape, node.dtype, order=node.order, call=node.call)
    shuffle.facts = Interleaving(pair(strides), pair(padding[:2]), channels)
    graph.nodes += [conv, shuffle]
    graph.replace(node, shuffle)
    return conv


def phase_weights(weights: Array, strides: list[int], channels: int) -> tuple[Array, tuple[int, int]]:
    """Return weights [C, K, R, S] as [sh*sw*channels, C, taps_h, taps_w], for each phase, and its numbers of taps."""
    cin, out, rows, columns = weights.shape
    taps = (-(-rows // strides[0]), -(-columns // strides[1]))
    full = np.zeros((cin, channels, taps[0] * strides[0], taps[1] * strides[1]), weights.dtype)
    full[:, :out, :rows, :columns] = weights
    full = full.reshape(cin, channels, taps[0], strides[0], taps[1], strides[1])[:, :, ::-1, :, ::-1, :]
    ordered = full.transpose(3, 5, 1, 0, 2, 4)
    return np.ascontiguousarray(ordered.reshape(-1, cin, *taps)), taps


def interleave_last(graph: Graph, layer: str, last: str) -> None:
    """layer, interleave, elementwise ... last  ->  layer, elementwise ... last, interleave: the layer takes them in.

    Args:
        graph: Rewritten in place.
        layer: Operator of the layer whose phases are interleaved.
        last: Operator after which the interleaving moves no further.
    """
    for node in list(graph.nodes):
        if node.op != "edgec.interleave" or node.args[0].op != layer:
            continue
        while len(node.users) == 1 and not graph.is_output(node) and node.args[0].op != last:
            user, source = node.users[0], node.args[0]
            arguments = _phase_arguments(user, node, last)
            if arguments is None:
                break
            graph.replace(user, node)
            user.args, user.shape, user.name = arguments, source.shape, ""
            node.args, node.dtype, node.order = [user], user.dtype, user.order + 0.0005
            graph.relink()


def _phase_arguments(user: Node, node: Node, last: str) -> list[Any] | None:
    """Return the arguments of `user`, which reads the interleaved `node`, before interleaving; None if impossible."""
    assert node.shape is not None
    source, channels = node.args[0], node.shape[1]
    if user.op in UNARY or user.op in PARAMETRIC or user.op == last:
        return [source, *user.args[1:]]
    if user.op not in BINARY or user.shape != node.shape:
        return None
    arguments: list[Any] = []
    for arg in user.args:
        if isinstance(arg, np.ndarray) and arg.size > 1:
            if arg.size != channels or arg.ndim < 3 or arg.shape[-3] != channels:
                return None
            each = node.known(Interleaving).channels
            spare, phases = each - channels, source.shape[1] // each
            padded = np.pad(arg.reshape(-1), (0, spare), mode="edge")
            arguments.append(np.tile(padded, phases).reshape(-1, 1, 1))
        elif isinstance(arg, Node) and arg is not node:
            return None
        else:
            arguments.append(source if arg is node else arg)
    return arguments
