"""ONNX operators as Relax: one file a family, each with the table `CONVERTERS` that `converters.py` joins."""
