"""The path of the guests, and `guestdbg` as a process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

GUESTDBG = [
    sys.executable,
    "-c",
    "from guestdbg.cli import main; main(prog_name='guestdbg')",
]


def guestdbg(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; the output is text."""
    result = subprocess.run(
        [*GUESTDBG, *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        timeout=120,
    )
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


def problem(*arguments: str) -> str:
    """Run a command that must end with status 1 and a message, which is returned."""
    result = guestdbg(*arguments)
    assert result.returncode == 1, (result.returncode, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert "defect" not in result.stderr
    assert result.stdout == ""
    return result.stderr
