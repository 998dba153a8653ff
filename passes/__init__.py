"""Passes and analyses of a network; `pipeline` lists in their order those that every compilation runs."""
