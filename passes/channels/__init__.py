"""Channels followed through a network: which can be removed together, and their removal from weights and nodes."""
