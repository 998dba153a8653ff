"""Back end for NVIDIA Jetson boards: a folder from which the board's own TensorRT builds its engine."""

from edgec.targets.tensorrt.target import TensorRTTarget

__all__ = ["TensorRTTarget"]
