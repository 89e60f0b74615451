"""The examples of docs/arm64.md are what the package answers."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/arm64.md"


def test_the_page_tells_the_truth() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 10
    assert result.failed == 0
