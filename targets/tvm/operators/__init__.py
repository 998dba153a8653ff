"""ONNX operators as Relax: one file per family, each with a table `CONVERTERS`; `converters.py` merges them."""
