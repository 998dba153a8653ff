"""The schedules, in the order in which they are tried: the first one that takes a node lowers its region.

A schedule is a file that exports its `RULE`, and its line here.
"""

from __future__ import annotations

from importlib import import_module

from edgec.targets.tvm.regions.rule import Rule

ORDER = (
    "int8.winograd",
    "int8.conv_widening",
    "int8.conv",
    "int8.depthwise_widening",
    "int8.depthwise",
    "int8.dense",
    "packed.pack_bytes",
    "float.depthwise",
    "float.winograd",
    "float.conv",
    "packed.pool",
    "packed.global_pool",
    "packed.concat",
    "packed.upsample",
    "packed.channels",
    "packed.resize",
    "packed.interleave",
    "plain.recurrent",
    "plain.matmul",
    "plain.rows",
    "plain.columns",
    "plain.elementwise",
    "packed.elementwise",
)
RULES: tuple[Rule, ...] = tuple(import_module(f"{__package__}.{name}").RULE for name in ORDER)
