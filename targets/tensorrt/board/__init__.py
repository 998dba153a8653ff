"""Code that runs on the board, with its own Python (3.6 on JetPack 4), TensorRT, numpy and the CUDA runtime only.

`TensorRTTarget.lower` copies this folder into every artefact; nothing here may import edgec. `runner.Runner` is for
programs on the board.
"""
