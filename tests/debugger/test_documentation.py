"""Every example of docs/python-api.md runs, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python-api.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[int, str, str]]:
    text = PAGE.read_text()
    blocks = [(m.start(), m[1], m[2]) for m in _BLOCK.finditer(text)]
    found = []
    for n, (start, kind, body) in enumerate(blocks):
        if kind != "python":
            continue
        follows = blocks[n + 1] if n + 1 < len(blocks) else (0, "", "")
        output = follows[2] if follows[1] == "text" else ""
        found.append((text.count("\n", 0, start) + 1, body, output))
    return found


EXAMPLES = examples()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(
    ("line", "code", "output"), EXAMPLES, ids=[f"line {line}" for line, _, _ in EXAMPLES]
)
def test_example(line: int, code: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("drgn", reason="drgn runs on Linux only")
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    # Each stands alone but for the first import.
    with contextlib.redirect_stdout(printed):
        exec(compile("import guestdbg\n" + code, f"{PAGE.name}:{line}", "exec"), {})
    assert printed.getvalue() == output
