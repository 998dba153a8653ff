"""The functions of edgec, one a file: what `import edgec` offers, and what the commands call."""
