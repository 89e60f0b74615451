"""GDB connected to Linux at its prompt, on guestdbg's server and on QEMU's stub."""

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from bench import gdb_client, linux_guest
from guestdbg.gdb import Server

Constants = Mapping[str, int | str]


def figure_on_guestdbg(
    script: str, constants: Constants | None = None, *, program: Path | None = None
) -> float:
    """The figure that a script gives, as `gdb_client.figure` says; the guest is `prompt()`."""
    prompt = linux_guest.prompt()
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory) / "gdb"
        with Server(prompt.guest, listen=f"unix:{socket}", announce=lambda text: None) as server:
            figures: list[float] = []
            errors: list[Exception] = []

            # The guest is used by the thread that created it; GDB by this one.
            def measure() -> None:
                try:
                    figures.append(gdb_client.figure(script, socket, constants, program=program))
                except Exception as error:
                    errors.append(error)
                finally:
                    server.stop()

            client = threading.Thread(target=measure)
            client.start()
            server.serve()
            client.join()
    if errors:
        raise errors[0]
    return figures[0]


def figure_on_qemu(
    script: str,
    constants: Constants | None = None,
    *,
    program: Path | None = None,
    command: bytes | None = None,
) -> float:
    """The same on QEMU's TCG. `command` is typed at the prompt before GDB connects.

    The kernel is not moved, as guestdbg's is not without a seed.
    """
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory) / "gdb"
        chardev = f"socket,path={socket},server=on,wait=off,id=gdb"
        words = linux_guest.qemu_command(bootargs=f"{linux_guest.BOOTARGS} nokaslr")
        with linux_guest.session([*words, "-chardev", chardev, "-gdb", "chardev:gdb"]) as guest:
            guest.read_to(linux_guest.PROMPT)
            if command is not None:
                guest.type(command + b"\n")
                guest.output = b""  # as far as the first prompt
                guest.read_to(linux_guest.PROMPT)
            return gdb_client.figure(script, socket, constants, program=program)
