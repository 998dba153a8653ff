"""C++ that the programs of all back ends share."""
