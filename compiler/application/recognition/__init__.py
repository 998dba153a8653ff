"""Recognizes the head of a network from the structure of its graph and the shapes of its outputs."""
