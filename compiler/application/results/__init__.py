"""What `predict` returns: one kind of result a module."""
