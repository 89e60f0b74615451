"""Every Python example of these pages runs, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        "getting-started",
        "guide-firmware",
        "guide-kvm-developers",
        "stability",
        "python-api",
        "examples",
        "semihosting",
        "virtio",
        "boards",
        "time-travel",
        "tables",
        "profiles",
        "report",
        "trace",
        "fuzzing",
    )
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[tuple[str, str, str]]:
    text = page.read_text()
    blocks = [(m.start(), m[1], m[2]) for m in _BLOCK.finditer(text)]
    found = []
    for n, (start, kind, body) in enumerate(blocks):
        if kind != "python":
            continue
        follows = blocks[n + 1] if n + 1 < len(blocks) else (0, "", "")
        output = follows[2] if follows[1] == "text" else ""
        found.append((f"{page.name}:{text.count(chr(10), 0, start) + 1}", body, output))
    return found


EXAMPLES = [example for page in PAGES for example in examples(page)]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(
    ("place", "code", "output"), EXAMPLES, ids=[place for place, _, _ in EXAMPLES]
)
def test_example(place: str, code: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("drgn", reason="drgn runs on Linux only")
    if "gdb-multiarch" in code and shutil.which("gdb-multiarch") is None:
        pytest.skip("no gdb-multiarch: tools/setup-tests installs it")
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    # Each is complete by itself but for the first import.
    with contextlib.redirect_stdout(printed):
        exec(compile("import guestdbg\n" + code, place, "exec"), {})
    assert printed.getvalue() == output
