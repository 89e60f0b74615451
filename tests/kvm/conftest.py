"""Fixtures of the tests of the seam."""

import pytest

from . import support


@pytest.fixture(params=["6.1", "6.14"])
def linux(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel version that every ``Guest`` of the test is of: the test runs on each."""
    version: str = request.param
    monkeypatch.setattr(support, "LINUX", version)
    return version
