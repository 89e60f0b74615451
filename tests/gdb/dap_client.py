"""A client of the Debug Adapter Protocol, which editors speak to a debugger over its stdin.

Source: the protocol's specification (microsoft.github.io/debug-adapter-protocol), "Base Protocol"
and "Requests".
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tests.gdb.gdb_client import put_down

SECONDS = 60


class Refusal(Exception):
    """The adapter refused a request."""


class Adapter:
    """A debug adapter as a process. ``log``: all messages from it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        )
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = None
            while (line := stream.readline()).strip():
                name, _, value = line.partition(b":")
                if name.strip().lower() == b"content-length":
                    length = int(value)
            if length is None:
                break
            self._said.put(json.loads(stream.read(length)))
        self._said.put(None)

    def _take(self) -> None:
        """Receive one message."""
        try:
            message = self._said.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"no more messages: {self.log[-8:]}") from None
        assert message is not None, f"the adapter has ended: {self.log[-8:]}"
        self.log.append(message)
        if message["type"] == "response":
            self._answers[message["request_seq"]] = message
        elif message["type"] == "event":
            self._events.append(message)

    def start(self, command: str, **arguments: Any) -> int:
        """Send a request without waiting for its response; its number."""
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command}
        body = json.dumps(message | {"arguments": arguments}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        """The body of the response to a request. Raises Refusal."""
        while number not in self._answers:
            self._take()
        message = self._answers.pop(number)
        if not message["success"]:
            raise Refusal(f"{message['command']}: {message.get('message')}")
        return dict(message.get("body") or {})

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its response. Raises Refusal."""
        return self.answer(self.start(command, **arguments))

    def event(self, name: str) -> dict[str, Any]:
        """The body of the next event of that name; events before it are skipped."""
        while True:
            for at, message in enumerate(self._events):
                if message["event"] == name:
                    del self._events[: at + 1]
                    return dict(message.get("body") or {})
            self._events.clear()
            self._take()

    def forget(self) -> None:
        """Skip the events received so far."""
        self._events.clear()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The bodies of all events of that name so far."""
        return [m.get("body") or {} for m in self.log if m.get("event") == name]

    def printed(self) -> str:
        """The output that the adapter has shown to its user."""
        return "".join(body.get("output", "") for body in self.events("output"))

    def ended(self) -> int:
        """Wait until the adapter ends, after a disconnect request; its exit status."""
        return self._process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of_what: object) -> None:
        put_down(self._process, self._reader)
