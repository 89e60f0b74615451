"""GDB looks at what has happened: at a case of a campaign, and at a recorded run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import guestdbg
from guestdbg.faults import Skip
from tests.gdb.gdb_client import command_that_serves, gdb, needs_gdb, server
from tests.gdb.rsp_client import served
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

BOOT = EXAMPLES / "secure-boot.elf"


@needs_gdb
def test_from_the_end_of_a_fault_campaigns_case_back_to_the_fault(tmp_path: Path) -> None:
    with guestdbg.load(BOOT, console=None) as guest:
        guest.run(until="main")
        campaign = guest.fault_campaign(
            tmp_path / "boot", [Skip()], function="boot", success="start_image", ends="reject"
        )
        campaign.run(workers=0)
        found = next(f for f in campaign.found("success") if f.instruction.startswith("cbz"))
        place = found.pc
    words = ("campaign", "replay", str(tmp_path / "boot"), str(found.case))
    with command_that_serves(*words, by="--gdb") as process:
        said = process.wait_for(r"^case \d+: (.*)$")
        assert "success" in said[1]
        results = gdb(
            process.target,
            f"""
            connect()
            report(at=location(), caller=gdb.selected_frame().older().name())
            run("hbreak *{place + 4:#x}")
            run("reverse-continue")
            report(after=pc())
            run("delete")
            run("reverse-stepi")
            report(before=location())
            run("stepi")
            report(fault=pc(), w0=value("$w0"))
            run("stepi")
            report(end=location(), done=1)
            """,
            symbols=BOOT,
        )
    assert results["at"] == "start_image"
    assert results["caller"] == "boot"
    # The comparison has failed, and what asks for it is skipped.
    assert results["after"] == place + 4
    assert results["before"] == "check_signature"
    assert (results["fault"], results["w0"]) == (place, 0)
    assert results["end"] == "start_image"


@needs_gdb
def test_a_recorded_run(tmp_path: Path) -> None:
    path = tmp_path / "queue.guestrun"
    with guestdbg.load(EXAMPLES / "queue.elf", console=None, history=True) as guest:
        guest.run(until="queue_push")
        guest.run()
        end = guest.cpu.reg("pc")
        guest.history.save(path)
    with server(path) as process:
        results = gdb(
            process.target,
            """
            connect()
            report(begin=pc(), name=location())
            run("hbreak queue_push")
            run("continue")
            report(at=location())
            run("delete")
            run("continue")
            report(end=pc())
            run("reverse-stepi")
            report(back=pc())
            run("stepi")
            report(again=pc(), done=1)
            """,
            symbols="queue",
        )
    assert results["at"] == "queue_push"
    assert results["end"] == results["again"] == end
    assert results["back"] != end


def test_what_is_typed_while_it_goes_back(tmp_path: Path) -> None:
    """It is no stop: neither before the packet nor during it."""
    options = {"history": True, "memory": "16M"}
    with (
        served(tmp_path, "queue", load_options=options) as here,
        here.client() as client,
    ):

        def stop_reply(packet: bytes) -> bytes:
            reply = client.ask(packet)
            while reply.startswith(b"O"):
                reply = client.reply()
            return reply

        assert b"replaylog:end" in stop_reply(b"vCont;c")
        stop = threading.Event()

        def type_on() -> None:
            while not stop.wait(0.01):
                here.server.type_in(b"x")

        typing = threading.Thread(target=type_on)
        typing.start()
        try:
            for _ in range(5):
                assert b"replaylog:begin" in stop_reply(b"bc")
                assert b"replaylog:end" in stop_reply(b"vCont;c")
        finally:
            stop.set()
            typing.join()
