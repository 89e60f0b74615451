"""GDB with a Python script, connected to QEMU or to `guestdbg gdb`."""

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bench import loop_guest, qemu

# Many more turns than a measurement uses: the guest must not end.
TURNS = 1 << 40

_PROLOGUE = """
import gdb, time
for setting in ("pagination off", "confirm off", "architecture aarch64"):
    gdb.execute("set " + setting)
gdb.execute("target remote {socket}", to_string=True)
"""


def per_second(
    script: str,
    stopped: Callable[[Path], AbstractContextManager[Path]] = qemu.stopped,
    **values: int,
) -> float:
    """Run a script in GDB, connected to the loop guest. It must print one line `RATE <figure>`.

    `stopped` starts the server with the guest, and yields the path of its socket. `values` are
    constants of the script.
    """
    with tempfile.TemporaryDirectory() as name:
        guest = loop_guest.write(Path(name), TURNS)
        with stopped(guest) as socket:
            constants = {"DATA": loop_guest.DATA, "LOOP": loop_guest.LOOP, **values}
            return figure(script, socket, constants)


def figure(
    script: str,
    socket: Path,
    constants: Mapping[str, int | str] | None = None,
    *,
    program: Path | None = None,
) -> float:
    """Run a script in GDB, connected to the server at a socket: the figure of its `RATE` line.

    `constants` are names of the script; `program` is the ELF file that GDB reads symbols from.
    """
    gdb = qemu.program(qemu.GDB)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "script.py"
        named = "".join(f"{key} = {value!r}\n" for key, value in (constants or {}).items())
        file.write_text(named + _PROLOGUE.format(socket=socket) + script)
        result = subprocess.run(
            [gdb, "-nx", "-batch", "-x", str(file), *([str(program)] if program else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    for line in result.stdout.splitlines():
        if line.startswith("RATE "):
            return float(line.split()[1])
    raise RuntimeError(f"GDB printed no figure:\n{result.stdout}\n{result.stderr}")
