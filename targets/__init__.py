"""Boards and the back ends that compile for them."""
