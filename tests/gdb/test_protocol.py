"""Single packets: error replies, unknown packets, and rules that a client may break."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from guestdbg.gdb.packets import MAX_PACKET
from tests.gdb.rsp_client import Served, Wire, served

ENTRY = 0x4020_0000


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "counter") as here:
        yield here


@pytest.fixture
def wire(counter: Served) -> Iterator[Wire]:
    with counter.client() as client:
        yield client


def error(number: int) -> bytes:
    return b"E%02x" % number


def read_object(wire: Wire, name: bytes, piece: int = 0x300) -> bytes:
    data = b""
    while True:
        reply = wire.ask(b"qXfer:%s:%x,%x" % (name, len(data), piece))
        data += reply[1:]
        if reply[:1] == b"l":
            return data
        assert reply[:1] == b"m", reply


def test_unknown_packets_get_an_empty_reply(wire: Wire) -> None:
    for packet in (
        b"",
        b"vMustReplyEmpty",
        b"qUnheardOf:1",
        b"QNeverMind",
        b"jNothing:1",
        b"_M10",
    ):
        assert wire.ask(packet) == b"", packet
    assert wire.ask(b"Z5,40200000,4") == b""
    assert wire.ask(b"qXfer:auxv:read::0,100") == b""
    assert wire.ask(b"vFile:chmod:0") == b""


@pytest.mark.parametrize(
    ("packet", "number"),
    [
        (b"pffff", errno.EINVAL),
        (b"p-1", errno.EINVAL),
        (b"p", errno.EINVAL),
        (b"Pffff=00", errno.EINVAL),
        (b"P0=0011", errno.EINVAL),
        (b"P0=xx", errno.EINVAL),
        (b"P0", errno.EINVAL),
        (b"G00", errno.EINVAL),
        (b"Gzz", errno.EINVAL),
        (b"m0,4", errno.EFAULT),
        (b"mffffffffffffffff,8", errno.EFAULT),
        (b"m40200000", errno.EINVAL),
        (b"m 40200000,4", errno.EINVAL),
        (b"m0x40200000,4", errno.EINVAL),
        (b"m10000000000000000,4", errno.ERANGE),
        (b"M0,1:00", errno.EFAULT),
        (b"M40200000,2:00", errno.EINVAL),
        (b"X0,1:a", errno.EFAULT),
        (b"X40200000,5:abcd", errno.EINVAL),
        (b"x0,4", errno.EFAULT),
        (b"Z0,40200001,4", errno.EINVAL),
        (b"Z0,40200000", errno.EINVAL),
        (b"Z2,40200000,0", errno.EINVAL),
        (b"Z2,40200004,1000000", errno.ENOSPC),
        (b"Hg99", errno.ESRCH),
        (b"Hgp2.1", errno.ESRCH),
        (b"Hx1", errno.EINVAL),
        (b"T7", errno.ESRCH),
        (b"qThreadExtraInfo,9", errno.ESRCH),
        (b"vCont;c:9", errno.ESRCH),
        (b"vCont;x", errno.EINVAL),
        (b"vCont;r1", errno.EINVAL),
        (b"vCont;", errno.EINVAL),
        (b"vCont;t", errno.EINVAL),
        (b"QNonStop:2", errno.EINVAL),
        (b"qXfer:features:read:other.xml:0,100", errno.ENOENT),
        (b"qXfer:features:read:target.xml:fffff,100", errno.EINVAL),
        (b"qXfer:features", errno.EINVAL),
        (b"qRcmd,5", errno.EINVAL),
        (b"vFile:open:2f", errno.EINVAL),
    ],
)
def test_refused_packets_change_nothing(wire: Wire, packet: bytes, number: int) -> None:
    registers, code = wire.ask(b"g"), wire.ask(b"m40200000,40")
    reply = wire.ask(packet)
    assert reply == error(number), (packet, reply)
    assert (wire.ask(b"g"), wire.ask(b"m40200000,40")) == (registers, code)


def test_error_messages_for_a_client_that_understands_them(wire: Wire) -> None:
    wire.ask(b"qSupported:error-message+;multiprocess+")
    reply = wire.ask(b"m0,4")
    assert reply.startswith(b"E.there is no memory at 0x0")
    reply = wire.ask(b"Z2,40200004,1000000")
    assert b"watchpoint registers would be needed" in reply


def test_only_supported_features_are_announced(wire: Wire) -> None:
    features = wire.ask(b"qSupported:swbreak+;hwbreak+").split(b";")
    assert b"PacketSize=%x" % (MAX_PACKET - 1) in features
    assert b"multiprocess+" not in features, "this client does not know it"
    for known in features:
        if known.startswith(b"qXfer:"):
            name = known.split(b":")[1]
            annex = {b"features": b"target.xml"}.get(name, b"")
            assert read_object(wire, name + b":read:" + annex), known
    assert wire.ask(b"?").split(b"thread:")[1].startswith(b"1;")
    assert b"multiprocess+" in wire.ask(b"qSupported:multiprocess+").split(b";")
    assert wire.ask(b"?").split(b"thread:")[1].startswith(b"p1.1;")


def test_documents_are_the_same_in_any_pieces_and_well_formed(wire: Wire) -> None:
    whole = read_object(wire, b"features:read:target.xml", 0x7000)
    assert read_object(wire, b"features:read:target.xml", 0x11) == whole
    root = ElementTree.fromstring(whole)
    numbers = [int(reg.get("regnum", "-1")) for reg in root.iter("reg")]
    assert numbers == list(range(len(numbers)))
    names = [reg.get("name") for reg in root.iter("reg")]
    assert names[:34] == [f"x{n}" for n in range(31)] + ["sp", "pc", "cpsr"]
    assert {"v0", "fpcr", "sctlr_el1", "esr_el1", "elr_el1", "dbgbcr5_el1"} <= set(names)
    assert "dbgbcr6_el1" not in names, "there are six"
    # Each can be read, and has the size in its description.
    for register in root.iter("reg"):
        reply = wire.ask(b"p%x" % int(register.get("regnum", "")))
        assert len(reply) * 4 == int(register.get("bitsize", "")), register.attrib
    regions = ElementTree.fromstring(read_object(wire, b"memory-map:read:"))
    assert [r.get("type") for r in regions] == ["ram", "ram"]
    threads = ElementTree.fromstring(read_object(wire, b"threads:read:"))
    assert [t.get("id") for t in threads] == ["1"]


def test_registers_are_written_and_read_back(wire: Wire) -> None:
    for number, width in ((0, 16), (30, 16), (31, 16), (32, 16), (34, 32), (65, 32), (66, 8)):
        value = (b"%02x" % (number + 1)) * (width // 2)
        if number == 66:
            value = b"0000000f"
        assert wire.ask(b"P%x=%s" % (number, value)) == b"OK"
        assert wire.ask(b"p%x" % number) == value
    whole = wire.ask(b"g")
    assert len(whole) == 2 * (33 * 8 + 4)
    assert wire.ask(b"G" + b"11" * 264 + whole[-8:]) == b"OK"
    assert wire.ask(b"g") == b"11" * 264 + whole[-8:]


def test_the_four_memory_packets(wire: Wire) -> None:
    at = b"40202040"
    assert wire.ask(b"M%s,4:01020304" % at) == b"OK"
    assert wire.ask(b"m%s,4" % at) == b"01020304"
    special = bytes([0x23, 0x24, 0x2A, 0x7D, 0x00, 0xFF])
    wire.send(b"X%s,6:" % at + b"}\x03}\x04}\x0a}\x5d" + special[4:])
    assert wire.reply() == b"OK"
    assert wire.ask(b"x%s,6" % at) == b"b" + special
    assert wire.ask(b"X%s,0:" % at) == b"OK"
    assert wire.ask(b"x%s,0" % at) == b"b"
    # Past the end of memory: the bytes before it.
    assert len(wire.ask(b"m40ffffc0,100")) == 2 * 0x40
    # More than fits in a packet: as much as fits.
    assert 0x1000 < len(wire.ask(b"m40200000,fffff")) < MAX_PACKET


def test_without_acknowledgements_and_with(counter: Served) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(counter.path)
        client.sendall(b"+$?#3f")
        first = client.recv(4096)
        assert first.startswith(b"+$T05")
        client.sendall(b"-")
        assert client.recv(4096) == first[1:], "sent again"
        client.sendall(b"$g#00")
        assert client.recv(4096) == b"-", "not received"
        client.sendall(b"$QStartNoAckMode#b0")
        assert client.recv(4096) == b"+$OK#9a"
        client.sendall(b"$g#00")
        assert client.recv(4096).startswith(b"$E16#")


def test_ctrl_c_stops_only_a_running_guest(wire: Wire) -> None:
    wire.socket.sendall(b"\x03")
    assert wire.ask(b"qC") == b"QC1", "it is stopped already"
    # Into an endless loop.
    wire.ask(b"M40200000,4:00000014")
    assert wire.ask(b"P20=" + ENTRY.to_bytes(8, "little").hex().encode()) == b"OK"
    wire.send(b"vCont;c")
    wire.socket.sendall(b"\x03")
    assert wire.reply().startswith(b"T02")
    # In one piece with the packet that resumes it.
    wire.socket.sendall(b"$vCont;c#a8\x03")
    assert wire.reply().startswith(b"T02")


def test_the_end_of_the_guest(counter: Served) -> None:
    with counter.client() as wire:
        wire.send(b"vCont;c")
        assert wire.reply() == b"W00"
        assert wire.ask(b"?") == b"W00"
        assert wire.ask(b"vCont;c") == b"W00", "it stays ended"
        assert wire.ask(b"vCont;s:1") == b"W00"
        wire.ask(b"!")
        assert wire.ask(b"vRun;").startswith(b"T05"), "but can be started again"
        assert wire.ask(b"m40202000,8") == b"00" * 8
        wire.send(b"vCont;c")
        assert wire.reply() == b"W00"
    assert counter.join() == "exited"


def test_attaching_to_the_only_process(wire: Wire) -> None:
    assert wire.ask(b"vAttach;1").startswith(b"T05")
    assert wire.ask(b"vAttach;2") == error(errno.ESRCH)
    assert wire.ask(b"qAttached:1") == b"1"


def test_a_guest_killed_in_extended_mode_can_be_started_again(counter: Served) -> None:
    with counter.client() as wire:
        wire.ask(b"!")
        assert wire.ask(b"vKill;1") == b"OK"
        assert wire.ask(b"?") == b"X09"
        assert wire.ask(b"vCont;c") == b"X09"
        assert wire.ask(b"vRun;").startswith(b"T05")
        assert wire.ask(b"vKill;1") == b"OK"
    assert counter.join() == "killed"


def test_reset_restores_everything(wire: Wire) -> None:
    code = wire.ask(b"m40200000,1000")
    # Seven breakpoints: one of them is in memory.
    places = [b"%x" % (ENTRY + 0x138C + 4 * n) for n in range(7)]
    for place in places:
        assert wire.ask(b"Z0,%s,4" % place) == b"OK"
    wire.send(b"vCont;c")
    assert b"swbreak:;" in wire.reply()
    wire.ask(b"M40200000,4:ffffffff")
    assert "is stopped at its entry point, 0x40200000" in wire.monitor("reset")
    assert wire.ask(b"p20") == ENTRY.to_bytes(8, "little").hex().encode()
    assert wire.ask(b"m40200000,1000") == code
    wire.send(b"vCont;c")
    assert b"swbreak:;" in wire.reply()


def test_only_the_guests_own_files_can_be_read(wire: Wire) -> None:
    path = read_object(wire, b"exec-file:read:1")
    assert path.endswith(b"/examples/counter.elf")
    assert wire.ask(b"vFile:setfs:0") == b"F0"
    assert wire.ask(b"vFile:open:%s,0,0" % b"/etc/passwd".hex().encode()) == b"F-1,2"
    assert wire.ask(b"vFile:open:%s,1,0" % path.hex().encode()) == b"F-1,1e"
    assert wire.ask(b"vFile:open:%s,0,0" % path.hex().encode()) == b"F0"
    contents = Path(path.decode()).read_bytes()
    reply = wire.ask(b"vFile:pread:0,40,0")
    assert reply == b"F40;" + contents[:0x40]
    status = wire.ask(b"vFile:fstat:0")
    assert status.startswith(b"F40;")
    assert int.from_bytes(status[4 + 28 : 4 + 36], "big") == len(contents)
    assert wire.ask(b"vFile:close:0") == b"F0"
    assert wire.ask(b"vFile:pread:0,40,0") == b"F-1,9"


def test_range_stepping_stays_within(wire: Wire) -> None:
    wire.ask(b"Z0,%x,4" % 0x4020138C)  # main
    wire.send(b"vCont;c")
    wire.reply()
    wire.send(b"vCont;r%x,%x:1" % (0x4020138C, 0x402013A0))
    reply = wire.reply()
    assert reply.startswith(b"T05")
    place = int.from_bytes(bytes.fromhex(reply.split(b";20:")[1][:16].decode()), "little")
    assert not 0x4020138C <= place < 0x402013A0


def test_monitor_commands(wire: Wire) -> None:
    assert "phys ADDRESS" in wire.monitor("help")
    assert "KVM_CAP_GUEST_DEBUG_HW_WPS 4" in wire.monitor("caps")
    assert "nothing is armed" in wire.monitor("debug-state")
    wire.ask(b"Z2,40202000,8")
    state = wire.monitor("debug-state")
    assert "Z2 at 0x40202000: watchpoint, write of 8 bytes" in state
    assert "DBGWCR0_EL1 0x1ff7, DBGWVR0_EL1 0x40202000" in state or "DBGWVR0_EL1" in state
    assert wire.monitor("phys 0x40202000 = 0x11223344") == ""
    assert wire.monitor("phys 0x40202000 8").startswith("0x40202000: 44 33 22 11 00 00 00 00 ")
    assert wire.monitor("translate 0x40202000") == "0x40202000 is at physical 0x40202000\n"
    assert "MDSCR_EL1" in wire.monitor("register mdscr_el1")
    assert "nothing has been hit yet" in wire.monitor("hit")
    for wrong, says in (
        ("nonsense", "there is no monitor command 'nonsense'"),
        ("phys", "monitor phys ADDRESS"),
        ("phys zero", "'zero' is not a number"),
        ("phys 0", "no"),
        ("phys 0x40202000 999999", "1 to 4096"),
        ("register nothing", "nothing"),
        ("caps more", "takes no arguments"),
        ("phys 'open", "quotation"),
        ("type", "monitor type TEXT"),
    ):
        assert says in wire.monitor(wrong), wrong
    assert wire.ask(b"qC") == b"QC1"


def test_any_thread_and_a_stopped_thread_without_a_reason(tmp_path: Path) -> None:
    with served(tmp_path, "smp", load_options={"vcpus": 2}) as here, here.client() as wire:
        before = wire.ask(b"p20")
        assert wire.ask(b"Hg2") == wire.ask(b"Hc0") == b"OK"
        assert b"thread:2;" in wire.ask(b"s"), (
            "any thread: the selected one steps, and all are resumed"
        )
        # The first vCPU was resumed too, and is stopped because the second one stopped.
        assert wire.ask(b"Hg1") == b"OK"
        assert wire.ask(b"p20") != before
        assert b"thread:2;" in wire.ask(b"?")


def test_another_process_is_neither_killed_nor_detached(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here, here.client() as wire:
        assert b"multiprocess+" in wire.ask(b"qSupported:multiprocess+")
        assert wire.ask(b"vKill;2") == error(errno.ESRCH)
        assert wire.ask(b"D;2") == error(errno.ESRCH)
        assert wire.ask(b"D;x") == error(errno.EINVAL)
        assert wire.ask(b"vKill;1") == b"OK"
        assert here.join() == "killed"


def test_without_multiprocess_a_client_does_not_know_the_number(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here, here.client() as wire:
        assert wire.ask(b"vKill;a410") == b"OK"  # GDB's for a server that names none
        assert here.join() == "killed"
