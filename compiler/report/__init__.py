"""The report of an artefact: one HTML page that needs nothing else."""
