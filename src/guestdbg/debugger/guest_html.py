"""A guest as notebooks show it: its files, its vCPUs and its points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.point import Breakpoint
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.errors import GuestdbgError
from guestdbg.html_table import fields_html, table_html

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Point
    from guestdbg.debugger.vcpu.registers import Cpu

__all__ = ["guest_html"]


def guest_html(
    files: Sequence[PurePath],
    vcpus: Sequence[Cpu],
    points: Sequence[Point],
    *,
    state: str,
    memory: int,
    readable: bool,
) -> str:
    """Tables of HTML.

    Args:
        files: its ELF files.
        vcpus: its vCPUs, whose registers are read if ``readable``.
        points: its points.
        state: what it does, in words.
        memory: bytes of its RAM.
        readable: whether it is stopped, and not closed.
    """
    fields = [
        ("files", ", ".join(path.name for path in files) or "no symbols"),
        ("memory", f"{memory:,} bytes"),
        ("state", state),
    ]
    text = fields_html("Guest", fields)
    if readable:
        names = ("vCPU", "EL", "pc", "function", "source")
        text += table_html("vCPUs", names, [_vcpu(cpu) for cpu in vcpus])
    if points:
        columns = ("", "kind", "name", "hits", "seen", "enabled")
        text += table_html("Points", columns, [_point(point) for point in points])
    return text


def _vcpu(cpu: Cpu) -> tuple[object, ...]:
    try:
        where = cpu.location
        return cpu.id, cpu.el, f"{cpu.pc:#x}", where.symbolic, where.source
    except GuestdbgError as error:
        return cpu.id, None, None, str(error), None


def _point(point: Point) -> tuple[object, ...]:
    kind = "breakpoint" if isinstance(point, Breakpoint) else "watch"
    if isinstance(point, Recording):
        kind = "recording"
    enabled = "yes" if point.enabled else "no"
    return f"#{point.number}", kind, point.name, point.hits, point.seen, enabled
