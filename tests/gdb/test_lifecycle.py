"""Clients come and go: detaching, vanishing, coming back, and two at once."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from guestdbg.debugger import load
from guestdbg.gdb import Server, ServerError
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import SECONDS, Wire, served
from tests.machine.guests import EXAMPLES

COUNT = 0x4020_2008


@needs_gdb
def test_attach_to_the_running_guest_detach_and_attach_again() -> None:
    with server("spin", "--no-wait") as guest:
        look = """
            connect()
            report(first=value("$cntvct_el0") if False else None, at=location(), seen=stops.seen)
            before = value("(unsigned long)$x0")
            run("break *$pc")
            run("continue")
            report(stop=stops.seen[-1])
            run("detach")
            """.replace('first=value("$cntvct_el0") if False else None, ', "")
        results = gdb(guest.target, look)
        assert results["stop"] == ["breakpoint", [1]]
        # Its breakpoint was removed: the guest runs on, and the next client finds it running.
        guest.wait_for("the debugger has detached: the guest runs on")
        again = gdb(guest.target, look)
        assert again["stop"] == ["breakpoint", [1]]
        assert guest.process.poll() is None


@needs_gdb
def test_a_running_guest_is_stopped_by_ctrl_c() -> None:
    with server("spin") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            # As from the keyboard: SIGINT to GDB while it waits for the guest.
            threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            run("continue")
            report(stop=stops.seen[-1], at=location())
            """,
        )
    assert results["stop"] == ["signal", "SIGINT"]
    assert results["at"]


@needs_gdb
def test_kill_ends_the_server() -> None:
    with server("spin") as guest:
        gdb(guest.target, "connect()\nrun('kill')\n")
        assert guest.ended() == 0
        assert b"the debugger has killed the guest" in guest.errors


@needs_gdb
def test_the_second_debugger_gets_the_reason_for_its_refusal() -> None:
    with server("spin") as guest, socket.socket(socket.AF_UNIX) as first:
        first.settimeout(10)
        first.connect(guest.target)
        first.sendall(b"+$?#3f")
        assert first.recv(4096).startswith(b"+$T05")
        results = gdb(
            guest.target,
            """
            try:
                gdb.execute("target remote " + TARGET)
            except gdb.error as error:
                report(error=str(error))
            """,
        )
        assert "error" in results
        assert "another debugger is attached to this guest" in results.text
        # The first has not noticed.
        first.sendall(b"+$?#3f")
        assert first.recv(4096).startswith(b"+$T05")


def test_a_refused_client_that_sends_on_does_not_block_others(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here:
        stop = threading.Event()

        def talk() -> None:
            with socket.socket(socket.AF_UNIX) as second, contextlib.suppress(OSError):
                second.connect(here.path)
                while not stop.wait(0.1):
                    second.sendall(b"+")

        with here.client() as first:
            talker = threading.Thread(target=talk)
            talker.start()
            try:
                with socket.socket(socket.AF_UNIX) as third:
                    third.settimeout(SECONDS)
                    third.connect(here.path)
                    third.sendall(b"+$?#3f")
                    assert b"another debugger" in third.recv(4096), "it is refused in its turn"
            finally:
                stop.set()
                talker.join()
            assert first.ask(b"?").startswith(b"T05")


def counted(wire: Wire) -> int:
    return int.from_bytes(bytes.fromhex(wire.ask(b"m%x,8" % COUNT).decode()), "little")


def pc(wire: Wire) -> bytes:
    return wire.ask(b"p20")


@pytest.mark.parametrize("running", [False, True])
def test_a_disconnection_leaves_the_guest_stopped(tmp_path: Path, running: bool) -> None:
    with served(tmp_path, "spin", on_disconnect="stop") as here:
        with here.client() as wire:
            wire.ask(b"Z0,40200000,4")
            if running:
                wire.send(b"vCont;c")
        with here.client() as wire:
            first = here.guest.execution.vcpus[0].vcpu.instructions  # type: ignore[attr-defined]
            time.sleep(0.05)
            assert here.guest.execution.vcpus[0].vcpu.instructions == first  # type: ignore[attr-defined]
            assert len(here.guest.points) == 0, "its breakpoints are removed"
            assert wire.ask(b"?").startswith(b"T05")
        assert "the debugger has disconnected: the guest is stopped" in here.announced


def test_a_disconnection_lets_the_guest_run_on(tmp_path: Path) -> None:
    with served(tmp_path, "counter", on_disconnect="go") as here:
        with here.client() as wire:
            wire.ask(b"Z0,4020138c,4")
        assert here.join() == "exited"


def test_a_disconnection_ends_the_server(tmp_path: Path) -> None:
    with served(tmp_path, "spin", on_disconnect="kill") as here:
        with here.client() as wire:
            wire.send(b"vCont;c")
        assert here.join() == "killed"


@pytest.mark.parametrize("packet", [b"D", b"D;1"])
def test_detaching_lets_the_guest_run_on(tmp_path: Path, packet: bytes) -> None:
    with served(tmp_path, "counter", on_disconnect="kill") as here:
        with here.client() as wire:
            wire.ask(b"Z0,4020138c,4")
            assert wire.ask(packet) == b"OK"
        assert here.join() == "exited"


@pytest.mark.parametrize(("packet", "reply"), [(b"vKill;1", b"OK"), (b"k", b"X09")])
def test_killing(tmp_path: Path, packet: bytes, reply: bytes) -> None:
    with served(tmp_path, "spin") as here:
        with here.client() as wire:
            assert wire.ask(packet) == reply
        assert here.join() == "killed"


def test_a_client_that_sends_nothing_changes_nothing(tmp_path: Path) -> None:
    with served(tmp_path, "spin", on_disconnect="kill") as here:
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(here.path)
        with here.client() as wire:
            assert wire.ask(b"?").startswith(b"T05")
        assert here.join() == "killed"


def test_half_a_packet_and_a_hang_up(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here:
        for half in (
            b"$",
            b"$g",
            b"$g#",
            b"$g#6",
            b"+$m40200000,4#xx$",
            b"\x03\x03\x03",
            b"}" * 99,
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(here.path)
                client.sendall(half)
        with here.client() as wire:
            assert wire.ask(b"?").startswith(b"T05")


def test_a_client_that_reads_nothing_does_not_block_the_next(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(here.path)
            client.settimeout(1)
            try:
                for _ in range(10_000):
                    client.sendall(b"$m40200000,7ff0#" + b"%02x" % (sum(b"m40200000,7ff0") & 255))
            except TimeoutError:
                pass
        with here.client() as wire:
            assert wire.ask(b"?").startswith(b"T05")


def test_errors_of_the_library(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here:
        with pytest.raises(ServerError, match="another program listens there"):
            Server(here.guest, f"unix:{here.path}")
        with pytest.raises(ServerError, match="one of stop, go, kill"):
            Server(here.guest, "tcp:127.0.0.1:0", on_disconnect="wait")  # type: ignore[arg-type]
        with pytest.raises(ServerError, match="other machines"):
            Server(here.guest, "tcp:0.0.0.0:0")


def knock(path: Path) -> Wire:
    """A client at a socket that is about to be listened at."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return Wire(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.01)


def test_a_loaded_guest_serves_itself(tmp_path: Path) -> None:
    """`guest.serve_gdb` in the thread that has the guest; the client comes from another."""
    outcomes: list[str] = []
    path = tmp_path / "socket"

    def client() -> None:
        with knock(path) as wire:
            wire.ask(b"Z0,%x,4" % guest.symbol("main").address)
            wire.send(b"vCont;c")
            outcomes.append(wire.reply().decode())
            wire.ask(b"vKill;1")

    with load(EXAMPLES / "counter.elf", provider="soft", console=None) as guest:
        thread = threading.Thread(target=client)
        thread.start()
        assert guest.serve_gdb(f"unix:{path}") == "killed"
        thread.join()
        # The program controls the guest again, which is where the client left it.
        assert guest.cpu.pc == guest.symbol("main").address
        assert len(guest.points) == 0
        assert guest.run(timeout=60).reason == "exit"
    assert "swbreak:;" in outcomes[0]


@needs_gdb
def test_detaching_from_an_extended_remote_keeps_the_connection() -> None:
    """`detach`, then `attach 1` on the same connection; in between the guest runs."""
    with server("spin", "--on-disconnect", "kill") as guest:
        results = gdb(
            guest.target,
            """
            def said(command):
                try:
                    return gdb.execute(command, to_string=True)
                except gdb.error as error:
                    return str(error)

            connect("extended-remote")
            run("break main")
            run("continue")
            before = value("turns")
            run("detach")
            report(threads=said("info threads"), step=said("stepi"), monitor=said("monitor help"),
                 other=said("attach 2"))
            end = time.monotonic() + 30
            while time.monotonic() < end:
                said("attach 1")
                if value("turns") > before + 1000:
                    break
                run("detach")
            report(ran=value("turns") > before + 1000, at=location())
            here = pc()
            run("stepi")
            report(stepped=pc() != here)
            # GDB still has its breakpoint: it is hit when the guest is started again.
            run("run")
            report(run=stops.seen[-1], turns=value("turns"))
            run("detach")
            """,
            symbols="spin",
        )
        guest.wait_for("the debugger has detached and stays connected: the guest runs on")
        guest.wait_for("the debugger has attached again")
        # GDB closed the connection after detaching: that is not a disconnection.
        guest.wait_for("the debugger has detached: the guest runs on")
        assert guest.process.poll() is None
    assert "No threads" in results["threads"]
    assert "not being run" in results["step"]
    assert "attach 1" in results["monitor"]
    assert results["ran"]
    assert results["at"] == "main"
    assert "process 2 failed" in results["other"]
    assert results["stepped"]
    assert results["run"] == ["breakpoint", [1]]
    assert results["turns"] == 0


def test_after_detaching_packets_on_the_guest_are_refused(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here:
        with here.client() as wire:
            assert wire.ask(b"!") == b"OK"
            wire.ask(b"Z0,40201280,4")
            assert wire.ask(b"D;1") == b"OK"
            assert len(here.guest.points) == 0
            for packet in (b"g", b"p20", b"m40200000,4", b"M40200000,1:00", b"vCont;c", b"s", b"D"):
                assert wire.ask(packet) == b"E03", packet
            for packet in (b"Z0,40201280,4", b"Hgp0.0", b"qC", b"vKill;1", b"vCtrlC"):
                assert wire.ask(packet) == b"E03", packet
            assert wire.ask(b"qfThreadInfo") == b"l"
            assert wire.ask(b"?") == b"W00"
            assert b"<thread id" not in wire.ask(b"qXfer:threads:read::0,1000")
            # Ctrl-C has no effect on a guest that it is not attached to.
            wire.socket.sendall(b"\x03")
            assert wire.ask(b"qfThreadInfo") == b"l"
            assert wire.ask(b"vAttach;2") == b"E03"
            first = wire.ask(b"vAttach;1")
            assert first.startswith(b"T05")
            assert pc(wire) in first, "it is stopped"
            wire.send(b"vCont;s:1")
            assert wire.reply().startswith(b"T05")
        with here.client() as wire:
            assert wire.ask(b"?").startswith(b"T05")
        assert "the debugger has disconnected: the guest is stopped" in here.announced


def test_a_guest_that_ends_while_detached_can_be_started_again(tmp_path: Path) -> None:
    with served(tmp_path, "counter") as here:
        with here.client() as wire:
            wire.ask(b"!")
            assert wire.ask(b"D") == b"OK"
            end = time.monotonic() + SECONDS
            while not any(text.startswith("the guest has ended") for text in here.announced):
                assert time.monotonic() < end
                time.sleep(0.01)
            assert wire.ask(b"vAttach;1") == b"E03"
            assert wire.ask(b"vRun;").startswith(b"T05")
            wire.send(b"vCont;c")
            assert wire.reply() == b"W00"
        assert here.join() == "exited"


def test_a_non_stop_client_attaches_again(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here, here.client() as wire:
        wire.ask(b"!")
        wire.ask(b"QNonStop:1")
        assert wire.ask(b"D") == b"OK"
        assert wire.ask(b"?") == b"OK"
        assert wire.ask(b"vAttach;1") == b"OK"
        # It runs until the client stops it.
        assert wire.ask(b"vCont;t:1") == b"OK"
        assert wire.reply().startswith(b"%Stop:T00")
