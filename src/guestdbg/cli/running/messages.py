"""Devices and instructions that a guest misses: as lines for people, and as JSON objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestdbg.cli.running.styled_line import StyledLine

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest
    from guestdbg.debugger.messages.guest_messages import Message


def show_messages(
    guest: Guest, terminal: Terminal | None, write: Callable[[dict[str, Any]], object] | None
) -> None:
    """Show each message on the terminal, and write it to the log, as far as these are given."""

    def listener(message: Message, text: str) -> None:
        if terminal is not None:
            terminal.line(StyledLine(f"-- {text}", "yellow"))
        if write is not None:
            write(record(guest, message, text))

    guest.messages.listener = listener


def record(guest: Guest, message: Message, text: str) -> dict[str, Any]:
    """A message as a JSON object: addresses and encodings as hexadecimal text."""
    from guestdbg.debugger import UnimplementedInstruction

    location = guest.locate(message.pc)
    found: dict[str, Any] = {
        "event": "missing_device",
        "text": text,
        "vcpu": message.vcpu,
        "pc": f"{message.pc:#x}",
        "function": location.function,
        "file": location.file,
        "line": location.line,
    }
    if isinstance(message, UnimplementedInstruction):
        return found | {
            "event": "unimplemented_instruction",
            "encoding": f"{message.encoding:#010x}",
            "instruction": message.text,
            "extension": message.extension,
            "feature": message.instruction.feature if message.instruction is not None else None,
            "build_with": message.build_with,
        }
    return found | {
        "address": f"{message.address:#x}",
        "device": message.name,
        "access": message.access,
        "aborted": message.aborted,
    }
