"""`guestdbg gdb`: a guest that GDB or LLDB attaches to."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from guestdbg.cli.running import keyboard
from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.running.terminal import Terminal
from guestdbg.debugger import load
from guestdbg.gdb import Server
from guestdbg.semihosting import TARGETS


@click.command(
    short_help="Run a guest that GDB or LLDB attaches to.",
    epilog="""\b
Examples:
  guestdbg gdb examples/queue.elf
  gdb-multiarch -ex "target remote :1234"     in another terminal
  guestdbg gdb u-boot.bin --kind firmware --no-wait \\
      --listen unix:/tmp/u-boot.gdb

\b
Exit status: 0 the guest powered off, or the debugger ended it; 1 an error,
see the message; 2 a wrong command line; 130 Ctrl-C, or Ctrl-] with --raw.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option(
    "--listen",
    metavar="ADDRESS",
    default="tcp:127.0.0.1:1234",
    show_default=True,
    help="Where to listen: tcp:HOST:PORT (port 0: any free port), or unix:PATH (unix: chooses a "
    "path that only you can reach).",
)
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Start the guest when a debugger attaches, or at once.",
)
@click.option(
    "--on-disconnect",
    type=click.Choice(["stop", "go", "kill"]),
    default="stop",
    show_default=True,
    help="What to do with the guest when a debugger disconnects without detaching.",
)
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Allow an address in --listen that other machines can reach. They control the guest.",
)
@click.option(
    "--semihosting-target",
    type=click.Choice(TARGETS),
    default="native",
    show_default=True,
    help="Who performs semihosting operations on files and the console: guestdbg, the attached GDB "
    "on its machine, or GDB while one is attached (auto).",
)
@keyboard.raw_option
@guest_options
@click.pass_context
def gdb(
    ctx: click.Context,
    /,
    guest: Path,
    listen: str,
    wait: bool,
    on_disconnect: Any,
    allow_remote: bool,
    raw: bool,
    **options: Any,
) -> None:
    """Run GUEST for GDB or LLDB, which can use its hardware breakpoints and watchpoints.

    The guest's console is stdout and stdin; messages of the server go to stderr. In the debugger,
    `monitor help` lists further commands.
    """
    terminal = Terminal()
    with (
        load(guest, console=terminal.guest_wrote, **options) as machine,
        Server(
            machine,
            listen,
            wait=wait,
            on_disconnect=on_disconnect,
            allow_remote=allow_remote,
            announce=lambda text: terminal.line(f"-- {text}"),
        ) as server,
    ):
        escaped = threading.Event()

        def escape() -> None:
            escaped.set()
            server.stop()

        with (
            _signals(server) as caught,
            keyboard.passed_on(
                server.type_in, server.pending_input, escaped=escape if raw else None
            ),
        ):
            terminal.line(f"-- {server.address}; in GDB: target remote {server.address.for_gdb}")
            outcome = server.serve()
        if outcome == "exited" and server.last is not None:
            terminal.line(f"-- the guest {server.last.detail or 'ended'}")
        if caught:
            ctx.exit(128 + caught[0])
        if escaped.is_set():
            ctx.exit(keyboard.ESCAPE_STATUS)


@contextmanager
def _signals(server: Server) -> Iterator[list[int]]:
    """SIGINT, SIGTERM and SIGHUP end the server, the second one at once. Yields those that came."""
    caught: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        server.stop()

    previous_fd = signal.set_wakeup_fd(server.alarm, warn_on_full_buffer=False)
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        signal.set_wakeup_fd(previous_fd)
