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
        results = gdb(
            guest.target,
            f"""
            connect()
            report(reset=pc(), memory=run("info mem"))
            # In flash: GDB chooses a hardware breakpoint by itself.
            run("break *{found.start:#x}")
            run("continue")
            report(start=pc(), hit=stops.seen[-1])
            run("delete")
            # It copies itself to RAM: which instruction writes the first word there?
            run("watch *(unsigned long *){moved_to:#x}")
            run("continue")
            report(copier=pc(), copied=value("*(unsigned long *){moved_to:#x}"),
                 first=value("*(unsigned long *)0"))
            run("delete")
            # There is no code here until it has moved.
            run("break *{do_version:#x}")
            run("monitor type \\\\nversion\\\\n")
            run("continue")
            report(command=pc(), argc=value("$x2") & 0xff,
                 mmu=value("$sctlr_el1") & 1)
            report(text=gdb.selected_inferior().read_memory(
                     value("*(unsigned long *)$x3"), 7).tobytes().decode())
            run("stepi 20")
            report(on=pc())
            run("delete")
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert results["reset"] == 0
    assert "ro" in results["memory"], "flash is read-only"
    assert results["start"] == found.start  # type: ignore[attr-defined]
    assert results["hit"] == ["breakpoint", [1]]
    assert 0 < results["copier"] < 0x10_0000, "U-Boot in flash copies itself"
    assert results["copied"] == results["first"]
    assert results["command"] == do_version
    assert results["text"] == "version"
    assert results["on"] > moved_to
    assert b"U-Boot 20" in guest.output


def test_eight_breakpoints_at_the_prompt_while_it_waits_for_keys() -> None:
    """BRK instructions among them, in memory that U-Boot writes itself, set when it is there."""
    commands = way().commands  # type: ignore[attr-defined]
    with server(U_BOOT, "--kind", "firmware", "--no-wait") as guest:
        guest.wait_for("Hit any key", "output")
        guest.type_in(b"\n")
        guest.wait_for("^=> ", "output")
        results = gdb(
            guest.target,
            f"""
            connect()
            names = {{address: name for name, address in {commands!r}.items()}}
            for n, address in enumerate(names):
                run("break *%d" % address)
            while len(gdb.breakpoints()) < 8:
                run("break *%d" % (min(names) + 4 * len(gdb.breakpoints())))
            # In this order: `md` polls for Ctrl-C, and discards what is typed meanwhile.
            for line in ("version", "md 0x41000000 1"):
                run("monitor type %s\\\\n" % line)
            seen = []
            for _ in range(40):
                run("continue")
                seen.append(names.get(pc()))
                if "md" in seen:
                    break
            report(seen=[name for name in seen if name])
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert results["seen"] == ["version", "md"]
