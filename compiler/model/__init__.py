"""Reading and writing ONNX models, and questions about them that every later step asks."""
