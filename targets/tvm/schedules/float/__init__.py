"""Float convolutions of packed tensors: direct, Winograd, and depthwise."""
