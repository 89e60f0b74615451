"""The lab's end of the channel to the host: frames over a virtio serial port."""

import contextlib
import os
import time
from typing import Any

from . import frames

NAME = "guestdbg.lab"
_PORTS = "/sys/class/virtio-ports"
_SECONDS = 30


class HostGone(Exception):
    """The host has closed the channel."""


def _find() -> str | None:
    with contextlib.suppress(OSError):
        for port in os.listdir(_PORTS):
            with open(f"{_PORTS}/{port}/name") as name:
                if name.read().strip() == NAME:
                    return f"/dev/{port}"
    return None


class Port:
    """The open port. ``fd`` is for select. Writing blocks until the host reads."""

    def __init__(self) -> None:
        # The port appears some time after the driver was loaded.
        end = time.monotonic() + _SECONDS
        while (path := _find()) is None or not os.path.exists(path):
            if time.monotonic() > end:
                raise OSError(f"no virtio port {NAME} came up in {_SECONDS} seconds")
            time.sleep(0.01)
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._reader = frames.Reader()

    def receive(self) -> list[tuple[int, bytes]]:
        """The frames that have arrived. Raises HostGone."""
        data = os.read(self.fd, 1 << 16)
        if not data:
            raise HostGone
        return self._reader.feed(data)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Sends one whole frame. Raises HostGone."""
        self._write(frames.frame(kind, payload))

    def send_json(self, kind: int, value: Any) -> None:
        """Sends one frame with a JSON payload. Raises HostGone."""
        self._write(frames.frame_json(kind, value))

    def send_file(self, path: str, name: str) -> None:
        """Sends a file as ``name``. Raises HostGone, or OSError before anything was sent."""
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            piece = file.read(frames.PIECE)
            self.send_json(frames.FILE, {"path": name, "mode": mode})
            while piece:
                self.send(frames.FILE_DATA, piece)
                piece = file.read(frames.PIECE)
        self.send(frames.FILE_END)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                written = os.write(self.fd, left)
            except OSError as error:
                raise HostGone from error
            left = left[written:]
