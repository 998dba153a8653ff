"""What a model computes: ONNX Runtime as the reference, golden inputs, and the one comparison of results."""
