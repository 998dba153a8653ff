"""The C++ runner's sources, copied into every artefact for a TensorRT board."""
