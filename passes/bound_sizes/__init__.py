"""Static shapes for networks whose sizes depend on the data: `BoundSizes`."""

from edgec.passes.bound_sizes.bound_sizes import BoundSizes

__all__ = ["BoundSizes"]
