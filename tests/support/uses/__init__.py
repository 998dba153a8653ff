"""Random uses of single operators, as ONNX's own specification allows them; `bench/operator_uses.py` runs them."""
