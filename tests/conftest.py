"""Every compilation in the tests verifies each of its passes."""

from __future__ import annotations

import pytest

from edgec.options import CompileOptions


def pytest_configure(config: pytest.Config) -> None:
    CompileOptions.model_fields["verify_passes"].default = True
    CompileOptions.model_rebuild(force=True)
    assert CompileOptions(target="host").verify_passes
