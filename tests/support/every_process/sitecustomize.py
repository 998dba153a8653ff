"""Imported by every Python process of the tests as it starts: each compilation verifies each of its passes."""

try:
    from edgec.options import CompileOptions
except ImportError:  # a Python that edgec is not installed in, as on a board
    pass
else:
    CompileOptions.model_fields["verify_passes"].default = True
    CompileOptions.model_rebuild(force=True)
