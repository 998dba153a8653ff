"""`edgec serve`: an artefact behind HTTP: pictures in, JSON out; a page that shows them; a camera, live."""
