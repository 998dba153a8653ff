"""From a network's raw outputs to what they mean: one kind of head a module."""
