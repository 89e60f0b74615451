"""What the README shows is what the demo prints, and its Python example runs."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def steady(text: str) -> str:
    """Without what differs from run to run (the time) and trailing blanks."""
    text = re.sub(r"in \d+\.\d\d s", "in N s", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_the_output_of_the_demo_is_the_one_in_the_readme() -> None:
    shown = re.search(r"<!-- demo -->\n(.*?)<!-- /demo -->", README, re.DOTALL)
    assert shown is not None
    result = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert steady(textwrap.dedent(shown[1])) == steady(result.stdout)


def test_the_python_example_finds_the_culprit() -> None:
    section = README.split("## From Python")[1].split("\n## ")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"note_worst\+0x\w+ \(stats\.c:\d+\) 23 -> 979", result.stdout)
    assert "stats_record" in result.stdout
