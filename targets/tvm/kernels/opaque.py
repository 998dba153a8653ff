"""How kernels are marked that no pass may schedule or fuse."""

from __future__ import annotations

K_OPAQUE = 8
"""`OpPatternKind.kOpaque` of TVM: an operator that is fused with no other."""
OPAQUE = {"tirx.is_scheduled": True, "op_pattern": K_OPAQUE, "tirx.noalias": True}
