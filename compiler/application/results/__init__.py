"""Results that `predict` returns: one kind per module."""
