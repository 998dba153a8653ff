"""The C++ runner's sources, which are copied into every artefact for a TensorRT board."""
