"""C++ sources of what runs on the board: edgec-run, and the header and example for own programs."""
