"""From pictures to results: picture sources, recognition of a network's head, and the meaning of its outputs."""
