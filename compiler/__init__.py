"""edgec: deployment compiler for vision networks on edge boards."""
