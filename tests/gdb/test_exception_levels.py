"""Breakpoints, steps and memory before the MMU is on, through its turning on, at EL0 and EL1."""

from __future__ import annotations

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb

KERNEL = 0xFFFF_FF80_0000_0000


def test_through_the_turning_on_of_the_mmu() -> None:
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            f"""
            connect()
            report(entry=pc(), el=str(gdb.parse_and_eval("$cpsr")))
            # Set while the MMU is off; its address has no memory yet.
            run("break main")
            run("break upper")
            try:
                run("x/i main")
                report(mapped=True)
            except gdb.MemoryError:
                report(mapped=False)
            # By hand over the instruction that turns the MMU on, and the jump to the upper half.
            frame = gdb.selected_frame().architecture()
            code = frame.disassemble(pc(), pc() + 0x78)
            run("tbreak *%d" % next(one["addr"] for one in code if one["asm"].startswith("mrs")))
            run("continue")
            trail = []
            while pc() < {KERNEL}:
                code = gdb.selected_frame().architecture().disassemble(pc())[0]["asm"]
                trail.append(code.split()[0] + " " + code.split()[-1])
                run("stepi")
                if len(trail) > 20:
                    break
            report(trail=trail, upper=location(), sctlr=value("$sctlr_el1") & 1)
            run("continue")
            report(first=location(), code=run("x/i $pc"), points=stops.seen[-1])
            # The same memory at its physical address is not mapped in the lower half for EL1 code.
            report(phys=run("monitor phys %d 4" % (value("(unsigned long)&main") - {KERNEL})),
                 virtual=run("monitor translate %d" % value("(unsigned long)&main")),
                 word="%08x" % value("*(unsigned int *)main"))
            """,
        )
    assert results["entry"] == 0x4020_0000
    assert not results["mapped"]
    assert [line.split()[0] for line in results["trail"]] == [
        "mrs",
        "mov",
        "orr",
        "msr",
        "isb",
        "ldr",
        "br",
    ]
    assert results["upper"] == "upper"
    assert results["sctlr"] == 1
    assert results["first"] == "main"
    assert results["points"] == ["breakpoint", [1]]
    assert "<main>" in results["code"]
    assert results["virtual"].split()[-1] == hex(int(results["virtual"].split()[0], 16) - KERNEL), (
        "mapped where it was loaded"
    )
    data = bytes.fromhex(results["phys"].split(":")[1].split("  ")[0])
    assert int.from_bytes(data, "little") == int(results["word"], 16)


def test_user_space_and_the_kernel() -> None:
    """Into EL0 by ERET, back by SVC and by a fault, with breakpoints and a watch in both."""
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break *user_start")
            run("continue")
            report(user=location(), el=str(gdb.parse_and_eval("$cpsr")).split(),
                 info=gdb.selected_thread().name, words=run("x/2xg 0x401008"))
            run("delete")
            run("watch *(long *)0x401000")
            run("continue")
            report(writer=location(), total=value("*(long *)0x401000"))
            run("delete")
            # The kernel is in the upper half: its code and memory are visible at EL0 too.
            run("break serve")
            run("continue")
            report(kernel=location(), el1=str(gdb.parse_and_eval("$cpsr")).split(),
                 argument=value("frame->x[0]"), came_from=value("$elr_el1"))
            """,
        )
    assert results["user"] == "user_start"
    assert "EL=0" in results["el"]
    assert results["words"].split()[-2:] == ["0x0000000000000001", "0x0000000000000004"]
    assert results["kernel"] == "serve"
    assert "EL=1" in results["el1"]
    assert results["argument"] == sum(n * n for n in range(1, 17))
    assert 0x40_0000 <= results["came_from"] < 0x40_1000
    assert results["writer"] == "user_start"
    assert results["total"] == 16 * 16, "the first word that is added"


def test_stepping_over_svc_eret_and_into_a_fault() -> None:
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            """
            connect()

            def asm():
                return gdb.selected_frame().architecture().disassemble(pc())[0]["asm"].split()[0]

            def until(*names):
                for _ in range(3000):
                    if asm() in names:
                        return asm()
                    run("stepi")
                raise RuntimeError("never there: %s" % (names,))

            run("break user_enter")
            run("continue")
            run("delete")
            until("eret")
            before = pc()
            run("stepi")
            report(eret=[location(), value("$cpsr") >> 2 & 3])
            until("svc")
            svc = pc()
            run("stepi")
            report(svc=[pc() - value("$vbar_el1"), value("$cpsr") >> 2 & 3,
                      value("$elr_el1") - svc])
            # A breakpoint on the way back, then on to the access that faults.
            run("tbreak *$elr_el1")
            run("continue")
            report(back=[pc() - svc, value("$cpsr") >> 2 & 3])
            seen = []
            for _ in range(8):
                at = pc()
                run("stepi")
                if value("$cpsr") >> 2 & 3:
                    seen = [pc() - value("$vbar_el1"), value("$elr_el1") - at,
                            value("$esr_el1") >> 26]
                    break
            report(fault=seen)
            run("continue")
            report(end=stops.seen[-1])
            """,
        )
        assert guest.ended() == 0
    assert results["eret"] == ["user_start", 0]
    assert results["svc"] == [0x400, 1, 4], "the vector for lower levels; ELR after the SVC"
    assert results["back"] == [4, 0]
    assert results["fault"] == [0x400, 0, 0x24], "a data abort from EL0"
    assert results["end"] == ["exited", 0]
    assert b"faults at EL0: " in guest.output


def test_breakpoints_on_user_code_that_is_not_mapped_yet() -> None:
    """A register can wait for its memory and a BRK cannot: those that can be a BRK make room."""
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            for name in ("user_start", "serve", "user_leave", "put_line", "power_off", "exception"):
                run("break *%s" % name)
            run("continue")
            report(first=pc(), hit=stops.seen[-1])
            # GDB inserts by address: this one comes when no register is left.
            run("delete 1")
            run("stepi 3")
            run("break *user_start")
            run("break *0xffffffffc0000000")
            run("break *(user_start + 24)")
            run("continue")
            report(last=pc())
            run("delete")
            # Without any room left, it is refused.
            for n in range(7):
                run("break *(0xffffffffc0000000 + %d)" % (4 * n))
            try:
                gdb.execute("continue")
                report(refused="")
            except gdb.error as error:
                report(refused=str(error))
            """,
        )
    assert results["first"] == 0x40_0000
    assert results["hit"] == ["breakpoint", [1]]
    assert results["refused"]
    assert "Cannot insert breakpoint" in results.text
    assert results["last"] == 0x40_0018
