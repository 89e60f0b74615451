"""U-Boot under GDB: a stripped firmware that runs from flash, moves itself, and has a prompt."""

from __future__ import annotations

import pytest

from tests.examples.test_uboot import U_BOOT, way
from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = [
    needs_gdb,
    pytest.mark.skipif(not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu"),
]


def test_from_the_reset_vector_to_a_command_at_the_prompt() -> None:
    found = way()
    moved_to, do_version = found.moved_to, found.commands["version"]  # type: ignore[attr-defined]
    with server(U_BOOT, "--kind", "firmware") as guest:
        told = gdb(
            guest.target,
            f"""
            connect()
            tell(reset=pc(), memory=run("info mem"))
            # In flash: GDB takes a hardware breakpoint there by itself.
            run("break *{found.start:#x}")
            run("continue")
            tell(start=pc(), hit=stops.seen[-1])
            run("delete")
            # It copies itself into RAM: who writes the first word there?
            run("watch *(unsigned long *){moved_to:#x}")
            run("continue")
            tell(copier=pc(), copied=value("*(unsigned long *){moved_to:#x}"),
                 first=value("*(unsigned long *)0"))
            run("delete")
            # Where there is no code yet, and will be once it has moved.
            run("break *{do_version:#x}")
            run("monitor type \\\\nversion\\\\n")
            run("continue")
            tell(command=pc(), argc=value("$x2") & 0xff,
                 mmu=value("$sctlr_el1") & 1)
            tell(text=gdb.selected_inferior().read_memory(
                     value("*(unsigned long *)$x3"), 7).tobytes().decode())
            run("stepi 20")
            tell(on=pc())
            run("delete")
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert told["reset"] == 0
    assert "ro" in told["memory"], "flash is told as read-only"
    assert told["start"] == found.start  # type: ignore[attr-defined]
    assert told["hit"] == ["breakpoint", [1]]
    assert 0 < told["copier"] < 0x10_0000, "U-Boot in flash copies itself"
    assert told["copied"] == told["first"]
    assert told["command"] == do_version
    assert told["text"] == "version"
    assert told["on"] > moved_to
    assert b"U-Boot 20" in guest.output


def test_eight_breakpoints_at_the_prompt_while_it_waits_for_keys() -> None:
    """BRK instructions among them, in memory that U-Boot writes itself, set when it is there."""
    commands = way().commands  # type: ignore[attr-defined]
    with server(U_BOOT, "--kind", "firmware", "--no-wait") as guest:
        guest.wait_for("Hit any key", "output")
        guest.type_in(b"\n")
        guest.wait_for("^=> ", "output")
        told = gdb(
            guest.target,
            f"""
            connect()
            names = {{address: name for name, address in {commands!r}.items()}}
            for n, address in enumerate(names):
                run("break *%d" % address)
            while len(gdb.breakpoints()) < 8:
                run("break *%d" % (min(names) + 4 * len(gdb.breakpoints())))
            # In this order: `md` looks for a Ctrl-C, and swallows what is typed meanwhile.
            for line in ("version", "md 0x41000000 1"):
                run("monitor type %s\\\\n" % line)
            seen = []
            for _ in range(40):
                run("continue")
                seen.append(names.get(pc()))
                if "md" in seen:
                    break
            tell(seen=[name for name in seen if name])
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert told["seen"] == ["version", "md"]
