"""From pictures to results: what an artefact's outputs mean, which head a network has, where pictures come from."""
