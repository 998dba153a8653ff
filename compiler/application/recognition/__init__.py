"""Which head a network has: decided by the structure of its graph and the shapes of its outputs."""
