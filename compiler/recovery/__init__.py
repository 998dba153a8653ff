"""Recovery by gradients: the interpreter of ONNX in PyTorch, what is trained in a network, and the training."""
