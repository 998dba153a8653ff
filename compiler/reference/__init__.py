"""What a model computes: ONNX Runtime as the reference, golden inputs, and the comparison of results."""
