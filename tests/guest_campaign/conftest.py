"""The guest is compiled once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guest_campaign import parser


@pytest.fixture(scope="session", autouse=True)
def _compiled_guest() -> Iterator[None]:
    yield
    parser.forget()
