"""The examples of docs/arm64.md give the results that the page shows."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/arm64.md"


def test_the_examples_are_right() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 10
    assert result.failed == 0
