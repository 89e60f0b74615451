"""Breakpoints, steps and memory before the MMU is on, through its turning on, at EL0 and EL1."""

from __future__ import annotations

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb

KERNEL = 0xFFFF_FF80_0000_0000


def test_through_the_turning_on_of_the_mmu() -> None:
    with server("mmu") as guest:
        told = gdb(
            guest.target,
            f"""
            connect()
            tell(entry=pc(), el=str(gdb.parse_and_eval("$cpsr")))
            # Set while the MMU is off; its address has no memory yet.
            run("break main")
            run("break upper")
            try:
                run("x/i main")
                tell(mapped=True)
            except gdb.MemoryError:
                tell(mapped=False)
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
            tell(trail=trail, upper=location(), sctlr=value("$sctlr_el1") & 1)
            run("continue")
            tell(first=location(), code=run("x/i $pc"), points=stops.seen[-1])
            # The same memory at its physical address is not mapped in the lower half for EL1 code.
            tell(phys=run("monitor phys %d 4" % (value("(unsigned long)&main") - {KERNEL})),
                 virtual=run("monitor translate %d" % value("(unsigned long)&main")),
                 word="%08x" % value("*(unsigned int *)main"))
            """,
        )
    assert told["entry"] == 0x4020_0000
    assert not told["mapped"]
    assert [line.split()[0] for line in told["trail"]] == [
        "mrs",
        "mov",
        "orr",
        "msr",
        "isb",
        "ldr",
        "br",
    ]
    assert told["upper"] == "upper"
    assert told["sctlr"] == 1
    assert told["first"] == "main"
    assert told["points"] == ["breakpoint", [1]]
    assert "<main>" in told["code"]
    assert told["virtual"].split()[-1] == hex(int(told["virtual"].split()[0], 16) - KERNEL), (
        "mapped where it was loaded"
    )
    data = bytes.fromhex(told["phys"].split(":")[1].split("  ")[0])
    assert int.from_bytes(data, "little") == int(told["word"], 16)


def test_user_space_and_the_kernel() -> None:
    """Into EL0 by ERET, back by SVC and by a fault, with breakpoints and a watch in both."""
    with server("mmu") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break *user_start")
            run("continue")
            tell(user=location(), el=str(gdb.parse_and_eval("$cpsr")).split(),
                 info=gdb.selected_thread().name, words=run("x/2xg 0x401008"))
            run("delete")
            run("watch *(long *)0x401000")
            run("continue")
            tell(writer=location(), total=value("*(long *)0x401000"))
            run("delete")
            # The kernel is another half: its code, its memory, at EL0 too.
            run("break serve")
            run("continue")
            tell(kernel=location(), el1=str(gdb.parse_and_eval("$cpsr")).split(),
                 argument=value("frame->x[0]"), came_from=value("$elr_el1"))
            """,
        )
    assert told["user"] == "user_start"
    assert "EL=0" in told["el"]
    assert told["words"].split()[-2:] == ["0x0000000000000001", "0x0000000000000004"]
    assert told["kernel"] == "serve"
    assert "EL=1" in told["el1"]
    assert told["argument"] == sum(n * n for n in range(1, 17))
    assert 0x40_0000 <= told["came_from"] < 0x40_1000
    assert told["writer"] == "user_start"
    assert told["total"] == 16 * 16, "the first word that is added"


def test_stepping_over_svc_eret_and_into_a_fault() -> None:
    with server("mmu") as guest:
        told = gdb(
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
            tell(eret=[location(), value("$cpsr") >> 2 & 3])
            until("svc")
            svc = pc()
            run("stepi")
            tell(svc=[pc() - value("$vbar_el1"), value("$cpsr") >> 2 & 3,
                      value("$elr_el1") - svc])
            # A breakpoint on the way back, then on to the access that faults.
            run("tbreak *$elr_el1")
            run("continue")
            tell(back=[pc() - svc, value("$cpsr") >> 2 & 3])
            seen = []
            for _ in range(8):
                at = pc()
                run("stepi")
                if value("$cpsr") >> 2 & 3:
                    seen = [pc() - value("$vbar_el1"), value("$elr_el1") - at,
                            value("$esr_el1") >> 26]
                    break
            tell(fault=seen)
            run("continue")
            tell(end=stops.seen[-1])
            """,
        )
        assert guest.ended() == 0
    assert told["eret"] == ["user_start", 0]
    assert told["svc"] == [0x400, 1, 4], "the vector for lower levels; ELR behind the SVC"
    assert told["back"] == [4, 0]
    assert told["fault"] == [0x400, 0, 0x24], "a data abort from EL0"
    assert told["end"] == ["exited", 0]
    assert b"faults at EL0: " in guest.output


def test_breakpoints_on_user_code_that_is_not_mapped_yet() -> None:
    """A register can wait for its memory and a BRK cannot: those that can be a BRK make room."""
    with server("mmu") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            for name in ("user_start", "serve", "user_leave", "put_line", "power_off", "exception"):
                run("break *%s" % name)
            run("continue")
            tell(first=pc(), hit=stops.seen[-1])
            # GDB inserts by address: this one comes when no register is left.
            run("delete 1")
            run("stepi 3")
            run("break *user_start")
            run("break *0xffffffffc0000000")
            run("break *(user_start + 24)")
            run("continue")
            tell(last=pc())
            run("delete")
            # Where nothing can make room it is said.
            for n in range(7):
                run("break *(0xffffffffc0000000 + %d)" % (4 * n))
            try:
                gdb.execute("continue")
                tell(refused="")
            except gdb.error as error:
                tell(refused=str(error))
            """,
        )
    assert told["first"] == 0x40_0000
    assert told["hit"] == ["breakpoint", [1]]
    assert told["refused"]
    assert "Cannot insert breakpoint" in told.text
    assert told["last"] == 0x40_0018
