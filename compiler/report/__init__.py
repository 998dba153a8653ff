"""The report of an artefact: one HTML page that needs no other file."""
