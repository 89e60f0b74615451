"""Linux's own drivers at the virtio devices."""

from __future__ import annotations

import hashlib
import http.server
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guestdbg.debugger import Guest
from tests.linux.support import commands, run
from tests.machine.usernet.peer import free_port

DISK_BYTES = 4 << 20
FILE = random.Random(2).randbytes(300_000)


def disk(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path


@contextmanager
def web_server() -> Iterator[int]:
    """Serves FILE at the loopback; gives the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(FILE)))
            self.end_headers()
            self.wfile.write(FILE)

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class Fetcher:
    """A program of the host that gets what the guest serves, once the guest says that it does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.got = bytearray()

    def listen(self, data: bytes) -> None:
        if b"the server begins" in data:
            threading.Thread(target=self._fetch, daemon=True).start()

    def _fetch(self) -> None:
        for _ in range(200):  # until the guest's program listens
            with socket.create_connection(("127.0.0.1", self._port)) as connection:
                connection.settimeout(60)
                try:
                    while data := connection.recv(65536):
                        self.got.extend(data)
                except OSError:  # refused by the guest
                    pass
            if self.got:
                return
            time.sleep(0.1)


COPY = "dd if=/dev/vda of=/dev/vdb bs=64k conv=fsync 2>/dev/null"
COMPARE = "echo 3 > /proc/sys/vm/drop_caches; cmp /dev/vda /dev/vdb && echo equal"
SERVE = 'echo "the server" begins; nc -l -p 80 < /tmp/file'


def test_disks_entropy_and_the_network_in_both_directions(tmp_path: Path) -> None:
    """One disk is copied to another, a file of the host is fetched, and served to the host."""
    contents = random.Random(1).randbytes(DISK_BYTES)
    first = disk(tmp_path / "first.img", contents)
    second = disk(tmp_path / "second.img", bytes(DISK_BYTES))
    port = free_port()
    fetcher = Fetcher(port)

    def prepare(guest: Guest) -> None:
        guest.board.console.listener = fetcher.listen

    with web_server() as web:
        wget = f"wget -q -O /tmp/file http://10.0.2.2:{web}/; md5sum /tmp/file"
        found = run(
            dialogue=commands(
                b"md5sum /dev/vda",
                COPY.encode(),
                COMPARE.encode(),
                b"echo x > /dev/vda",
                b"cat /sys/block/vda/ro /sys/block/vdb/ro",
                b"head -c 64 /dev/hwrng | wc -c",
                b"ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up",
                b"ping -c 1 10.0.2.2",
                wget.encode(),
                SERVE.encode(),
                b"wget -q -O - http://10.0.2.2:1/",
            ),
            prepare=prepare,
            vcpus=2,
            drives=[f"{first},readonly", f"{second},overlay"],
            entropy=True,
            net=f"user,forward=tcp:{port}:80",
        )
    assert found.stop.detail == "powered off", found.text
    assert found.answer("md5sum /dev/vda").split()[0] == hashlib.md5(contents).hexdigest()
    assert found.answer(COMPARE).endswith("equal\n")
    assert "Operation not permitted" in found.answer("echo x > /dev/vda")
    assert found.answer("cat /sys/block/vda/ro /sys/block/vdb/ro").split() == ["1", "0"]
    assert first.read_bytes() == contents
    assert second.read_bytes() == bytes(DISK_BYTES)
    assert found.answer("head -c 64 /dev/hwrng | wc -c") == "64\n"
    assert "1 packets transmitted, 1 packets received" in found.answer("ping -c 1 10.0.2.2")
    assert found.answer(wget).split()[0] == hashlib.md5(FILE).hexdigest()
    assert fetcher.got == FILE
    assert "Connection refused" in found.answer("wget -q -O - http://10.0.2.2:1/")
