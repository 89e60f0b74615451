"""Where a guest was when it was stopped before its end, and whether it can ever go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.cli.running.styled_line import StyledLine

if TYPE_CHECKING:
    from guestdbg.debugger import Guest


def diagnose(guest: Guest, *, lost: bool = True) -> list[StyledLine]:
    """One line for each vCPU: where it was, or that it is powered off.

    With `lost`, one more for a vCPU that cannot go on.
    """
    lines = []
    for found in guest.diagnose():
        name = f"vCPU {found.vcpu}: " if len(guest.vcpus) > 1 else ""
        if found.status == "off":
            lines.append(StyledLine(f"   {name}{found.text}", "dim"))
            continue
        lines.append(StyledLine(f"   {name}it was at {found.location}, pc {found.pc:#x}", "dim"))
        if found.text and (lost or found.status == "runs"):
            style = "dim" if found.status == "runs" else "bold red"
            lines.append(StyledLine(f"   {name}{found.text}", style))
    return lines


def records(guest: Guest) -> list[dict[str, Any]]:
    """What each vCPU was doing, as JSON objects."""
    return [
        {
            "vcpu": found.vcpu,
            "status": found.status,
            "pc": f"{found.pc:#x}",
            "function": found.location.function,
            "text": found.text or None,
        }
        for found in guest.diagnose()
    ]
