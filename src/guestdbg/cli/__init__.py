"""The command line: `guestdbg run`, `guestdbg explain`, `guestdbg caps`; one file a command."""

from guestdbg.cli.group import main

__all__ = ["main"]
