"""What cleans up after a guestdbg that was killed and could not do it itself."""

import subprocess
from pathlib import Path

# Until its input ends, as it does however we end, it does nothing. Then it ends the process that
# it was told of, if any, and removes a directory. A shell, because it starts in a millisecond.
_SCRIPT = """
trap '' HUP INT QUIT TERM
pid=
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
rm -rf -- "$1"
"""


class Guard:
    """Watches over this process for a machine's sake. ``directory`` goes with it."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "guestdbg-lab-guard", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # What is done to our group of processes must not be done to it.
            start_new_session=True,
            cwd="/",
        )

    def kill_on_exit(self, pid: int | None) -> None:
        """Says which process it is that must not outlive this one. Until that is reaped!"""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{pid or ''}\n".encode())
            self._process.stdin.flush()
        except OSError:
            # Somebody killed it: then there is none, as there was none before it was thought of.
            return

    def dismiss(self) -> None:
        """It is not needed any more: everything has been cleaned up."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
