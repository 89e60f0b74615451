"""What everybody does first with gdb-multiarch: attach, break, step, watch, print, finish."""

from __future__ import annotations

import pytest

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb


def test_attach_break_continue_step_and_print() -> None:
    with server("queue") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            report(at_entry=location(), program=gdb.current_progspace().filename)
            run("break queue_push")
            run("continue")
            report(first=location(), stops=stops.seen, q=value("(unsigned long)q"),
                 queue=value("(unsigned long)&queue"))
            run("delete")
            run("break queue.c:17")
            run("ignore 2 4")
            run("continue")
            report(job=str(gdb.parse_and_eval("job")), tail=value("q->tail"),
                   words=run("backtrace"))
            before = pc()
            run("stepi")
            report(stepped=pc() - before)
            run("delete")
            run("finish")
            report(after_finish=location(), registers=run("info registers pc x0 sp cpsr"))
            """,
        )
        assert results["at_entry"] == "_start"
        assert results["program"].endswith("/examples/queue.elf"), "found through the server"
        assert results["first"] == "queue_push"
        assert results["stops"][-1] == ["breakpoint", [1]]
        assert results["q"] == results["queue"]
        assert results["job"].startswith("{id = 4, source = "), "the fifth job"
        assert results["tail"] == 4
        assert [line.split(" (")[0].split()[-1] for line in results["words"].splitlines()] == [
            "queue_push",
            "submit",
            "sources_poll",
            "main",
        ]
        assert results["stepped"] == 4
        assert results["after_finish"] == "submit"
        assert "x0             0x1" in results["registers"]
        assert "EL=1" in results["registers"]


@pytest.mark.parametrize(("kind", "access"), [("watch", "w"), ("rwatch", "r"), ("awatch", "a")])
def test_watch_a_variable_in_its_three_kinds(kind: str, access: str) -> None:
    """`counter` is loaded and stored by one function, and read once more at the end."""
    with server("counter") as guest:
        results = gdb(
            guest.target,
            f"""
            connect()
            run("tbreak main")
            run("continue")
            run("{kind} counter")
            seen = []
            for _ in range(6):
                run("continue")
                # GDB steps over the access before it reports a watchpoint.
                code = gdb.selected_frame().architecture().disassemble(pc() - 4)[0]["asm"]
                seen.append([location(), value("counter"), code.split()[0]])
            report(seen=seen, stops=stops.seen[1:])
            """,
        )
        expected = {
            "w": [["count", n, "str"] for n in range(1, 7)],
            "r": [["count", n, "ldr"] for n in range(6)],
            "a": [["count", (n + 1) // 2, "ldr" if n % 2 == 0 else "str"] for n in range(6)],
        }
        assert results["seen"] == expected[access]
        assert all(kind == "breakpoint" for kind, _ in results["stops"])
        if access == "w":
            assert "Old value = 5\nNew value = 6\n" in results.text


def test_the_guest_runs_to_its_end() -> None:
    with server("hello") as guest:
        results = gdb(guest.target, "connect()\nrun('continue')\nreport(stops=stops.seen)\n")
        assert results["stops"][-1] == ["exited", 0]
        assert guest.ended() == 0
        assert guest.output == b"Hello from EL1\n"
        assert b"the guest powered off" in guest.errors
