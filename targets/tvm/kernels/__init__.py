"""Loops written out: what selects and orders elements by their values, which no tensor expression describes."""
