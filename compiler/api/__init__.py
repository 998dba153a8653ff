"""The functions of edgec, one per file: what `import edgec` offers, and what the commands call."""
