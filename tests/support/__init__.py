"""What tests share: small models as ONNX text, real models, paths."""
