"""Reading, writing and querying ONNX models, for all later steps."""
