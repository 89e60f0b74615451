"""Cleans up after a guestdbg that was killed and could not do it itself."""

import subprocess
from pathlib import Path

# It waits until its input ends, which happens however this process ends. Then it kills the process
# group whose number it read last, if any, and removes a directory. It is a shell script because a
# shell starts in a millisecond.
_SCRIPT = """
trap '' HUP INT QUIT TERM
pid=
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -KILL "-$pid" 2>/dev/null
rm -rf -- "$1"
"""


class Guard:
    """Ends a machine and removes ``directory`` when this process ends without doing so."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "guestdbg-lab-guard", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Signals to the process group of guestdbg (Ctrl-C) must not reach it.
            start_new_session=True,
            cwd="/",
        )

    def kill_on_exit(self, pid: int | None) -> None:
        """Sets the process that must not outlive this one, with its process group, which it leads.
        Reset it (None) before reaping it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{pid or ''}\n".encode())
            self._process.stdin.flush()
        except OSError:
            # The guard itself was killed. Without it only this clean-up is lost.
            return

    def dismiss(self) -> None:
        """Ends the guard: everything has been cleaned up."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
