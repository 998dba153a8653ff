"""`python -m edgec`: the command `edgec`."""

from edgec.cli import main

main()
