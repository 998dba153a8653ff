"""C++ sources of programs that run on the board: edgec-run, and the header and example for users' programs."""
