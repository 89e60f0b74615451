"""U-Boot's network: an address by DHCP, an echo, a file by TFTP, and the same again in a replay."""

from __future__ import annotations

import random
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guestdbg.kvm import ExitIntr, ExitSystemEvent, SupportsInstructionCount, open_kvm
from guestdbg.machine import Board, Console, InputLog, load
from tests.machine.guests import U_BOOT
from tests.machine.test_uboot import lines, session

pytestmark = pytest.mark.skipif(
    not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu"
)

TFTP = 69
BLOCK = 512


def run(
    *commands: bytes, log: InputLog | None = None, replay: InputLog | None = None
) -> tuple[list[str], int]:
    """The lines of a session with these commands, and its number of instructions."""
    output = bytearray()
    console = Console(output.extend)
    if replay is None:
        for expected, reply in session(*commands):
            console.answer(expected, reply)
    with open_kvm("soft") as kvm, Board(kvm, console=console, net="user") as board:
        load(board, U_BOOT, kind="firmware")
        if log is not None:
            board.inputs.listener = log.append
        if replay is not None:
            board.inputs.replay(replay)
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionCount)
        while isinstance(exit_ := board.run(vcpu), ExitIntr):
            assert vcpu.instructions < 3_000_000_000, bytes(output[-500:])
        assert isinstance(exit_, ExitSystemEvent)
        return lines(output), vcpu.instructions


def test_dhcp_and_ping_and_a_replay() -> None:
    log = InputLog()
    commands = b"setenv autoload no; dhcp", b"ping 10.0.2.2", b"printenv gatewayip netmask"
    text, instructions = run(*commands, log=log)
    assert any("DHCP client bound to address 10.0.2.15" in line for line in text)
    assert "host 10.0.2.2 is alive" in text
    assert {"gatewayip=10.0.2.2", "netmask=255.255.255.0"} <= set(text)
    assert {item.port for item in log} == {"console", "virtio-net"}
    assert run(replay=log) == (text, instructions)


@contextmanager
def tftp_server(contents: bytes) -> Iterator[None]:
    """A server at the loopback that knows one file (RFC 1350)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        try:
            host.bind(("127.0.0.1", TFTP))
        except OSError as error:
            pytest.skip(f"UDP port {TFTP} cannot be used here: {error.strerror}")

        def serve() -> None:
            while True:
                packet, address = host.recvfrom(2000)
                if packet[1] == 5:  # an error: the end, from the test
                    return
                number = 1 if packet[1] == 1 else int.from_bytes(packet[2:4], "big") + 1
                data = contents[(number - 1) * BLOCK :][:BLOCK]
                if (number - 1) * BLOCK <= len(contents):
                    host.sendto(b"\0\3" + number.to_bytes(2, "big") + data, address)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            host.sendto(b"\0\5", ("127.0.0.1", TFTP))
            thread.join(10)


def test_a_file_from_the_host_and_a_replay_without_it() -> None:
    contents = random.Random(1).randbytes(100_000)
    log = InputLog()
    commands = (
        b"setenv autoload no; dhcp; setenv serverip 10.0.2.2",
        b"tftpboot 0x41000000 file",
        b"crc32 0x41000000 186a0",
    )
    with tftp_server(contents):
        text, instructions = run(*commands, log=log)
    assert f"crc32 for 41000000 ... 4101869f ==> {zlib.crc32(contents):08x}" in text
    assert run(replay=log) == (text, instructions)
