"""The GDB server over the host provider, by its protocol."""

import socket
import tempfile
import threading
from pathlib import Path

from guestdbg.check import assembler as asm
from guestdbg.gdb import Server
from guestdbg.gdb.packets import Decoder, Packet, frame

from .machine import BASE, counter, load
from .rig import case

SECONDS = 30


class Client:
    """Sends what a case gives it, and receives one packet at a time."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self._decoder = Decoder()
        self._packets: list[bytes] = []
        self.ask("QStartNoAckMode")
        self.socket.sendall(b"+")

    def send(self, text: str) -> None:
        self.socket.sendall(frame(text.encode()))

    def reply(self) -> str:
        while not self._packets:
            data = self.socket.recv(65536)
            assert data, "the server has hung up"
            self._packets += [e.data for e in self._decoder.feed(data) if isinstance(e, Packet)]
        return self._packets.pop(0).decode()

    def ask(self, text: str) -> str:
        self.send(text)
        return self.reply()

    def pc(self) -> int:
        return int.from_bytes(bytes.fromhex(self.ask("g"))[32 * 8 : 33 * 8], "little")


@case
def a_guest_is_served_to_gdb() -> None:
    """Breakpoints of both kinds, a watchpoint, steps, memory, Ctrl-C; then detach."""
    moves = len([*asm.mov(1, 0x40001000), *asm.mov(2, 3)])
    store = BASE + 4 * (moves + 2)
    with (
        tempfile.TemporaryDirectory() as directory,
        load(*counter(3)[:-1], asm.label("for ever"), asm.b("for ever")) as guest,
    ):
        path = str(Path(directory, "gdb"))
        server = Server(guest, f"unix:{path}", announce=lambda text: None)
        with server:
            thread = threading.Thread(target=server.serve, daemon=True)
            thread.start()
            client = Client(path)
            assert client.ask("?").startswith("T"), "it waits"
            assert client.pc() == BASE
            assert client.ask(f"Z1,{store:x},4") == "OK"
            assert client.ask("c").startswith("T05")
            assert client.pc() == store
            assert client.ask(f"z1,{store:x},4") == "OK"
            assert client.ask("s").startswith("T05")
            assert client.pc() == store + 4
            assert client.ask("m40001000,8") == "01" + "00" * 7
            assert client.ask("Z2,40001000,8") == "OK"
            stop = client.ask("c")
            assert stop.startswith("T05"), stop
            assert "watch:40001000" in stop.replace("0000000040001000", "40001000"), stop
            assert client.ask("z2,40001000,8") == "OK"
            assert client.ask(f"Z0,{store + 4:x},4") == "OK"
            assert client.ask("c").startswith("T05")
            assert client.pc() == store + 4
            assert client.ask(f"z0,{store + 4:x},4") == "OK"
            client.send("c")
            threading.Event().wait(0.3)
            client.socket.sendall(b"\x03")
            assert client.reply().startswith("T02"), "Ctrl-C"
            assert client.ask("m40001000,8") == "03" + "00" * 7
            assert client.ask("D") == "OK"
            client.socket.close()
            server.stop()
            thread.join(SECONDS)
            assert not thread.is_alive(), "the server goes on"
