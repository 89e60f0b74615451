"""Both ends of a relayed connection. Whatever the order of events, all data arrives at the other
side, and neither end stores more than a window of it."""

import contextlib
import random
import socket
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.lab.inside import frames
from guestdbg.lab.inside.connection import Connection

NUMBER = 7


class Line:
    """A client and a server, and between them two ends that send frames to each other.

    ``frames[n]`` are under way from end n.
    """

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        self.people = [pair[0] for pair in pairs]
        self.frames: list[deque[tuple[int, bytes]]] = [deque(), deque()]
        self.ends = [
            Connection(
                NUMBER, pairs[n][1], lambda kind, data, n=n: self.frames[n].append((kind, data))
            )
            for n in range(2)
        ]
        for person in self.people:
            person.setblocking(False)
            # The smallest socket buffers, so that the window matters.
            person.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def deliver(self, n: int) -> None:
        """One frame of end n arrives at the other end."""
        if self.frames[n]:
            kind, payload = self.frames[n].popleft()
            number, data = frames.unpack_relay(payload)
            assert number == NUMBER
            self.ends[1 - n].take(kind, data)

    def ready(self, n: int) -> None:
        """What end n's loop does when its socket is ready."""
        self.ends[n].write()
        self.ends[n].read()

    def waiting(self, n: int) -> int:
        """Bytes from client or server n that end 1 - n, or the channel, has to store."""
        under_way = sum(
            len(payload) - 4 for kind, payload in self.frames[n] if kind == frames.RELAY_DATA
        )
        return under_way + len(self.ends[1 - n]._unsent)

    def close(self) -> None:
        for thing in (*self.people, *(end._socket for end in self.ends)):
            thing.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def hear(person: socket.socket, size: int) -> bytes | None:
    """What can be read; None if nothing is there now."""
    try:
        return person.recv(size)
    except BlockingIOError:
        return None


@given(st.integers(0, 1 << 32))
def test_both_sides_hear_what_was_said(seed: int) -> None:
    line, chance = Line(), random.Random(seed)
    said = [chance.randbytes(chance.randrange(3 * frames.RELAY_WINDOW)) for _ in range(2)]
    left = [memoryview(data) for data in said]
    heard = [bytearray(), bytearray()]
    ended = [False, False]
    try:
        while not all(ended):
            n = chance.randrange(2)
            match chance.randrange(4):
                case 0:
                    with contextlib.suppress(BlockingIOError):
                        if left[n]:
                            left[n] = left[n][line.people[n].send(left[n][:100_000]) :]
                    if not left[n]:
                        with contextlib.suppress(OSError):
                            line.people[n].shutdown(socket.SHUT_WR)
                case 1:
                    line.ready(n)
                case 2:
                    line.deliver(n)
                case 3:
                    piece = hear(line.people[n], chance.choice([1, 5000, 200_000]))
                    heard[1 - n] += piece or b""
                    ended[n] |= piece == b""
            assert line.waiting(n) <= frames.RELAY_WINDOW
        for n in range(2):
            while line.frames[n]:
                line.deliver(n)
        assert [bytes(data) for data in heard] == said
        assert all(end.over for end in line.ends)
    finally:
        line.close()


def test_who_does_not_read_is_not_read_for(line: Line) -> None:
    """The sender's socket fills up, so that it has to wait; nothing else happens."""
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            line.people[0].send(bytes(100_000))
        line.ready(0)
        line.deliver(0)
        line.deliver(1)
    assert not line.ends[0].wants_to_read
    assert line.ends[1].wants_to_write
    with pytest.raises(BlockingIOError):
        line.people[0].sendall(bytes(1 << 24))
    # It continues when the other side reads.
    while line.ends[1].wants_to_write:
        hear(line.people[1], 1 << 20)
        line.ends[1].write()
    while line.frames[1]:
        line.deliver(1)
    assert line.ends[0].wants_to_read


def test_a_reader_that_goes_away_ends_both(line: Line) -> None:
    line.people[1].close()
    line.people[0].send(b"hello?")
    line.ready(0)
    line.deliver(0)
    assert line.ends[1].over
    line.deliver(1)
    assert line.ends[0].over
    assert line.people[0].recv(1) == b""


def test_what_was_said_before_the_cut_arrives(line: Line) -> None:
    data = bytes(200_000)
    line.people[0].send(data)
    for _ in range(9):
        line.ready(0)
    line.ends[0].cut()
    heard = 0
    while (piece := hear(line.people[1], 5000)) != b"":
        line.deliver(0)
        line.ends[1].write()
        heard += len(piece or b"")
    assert heard == len(data)
    assert line.ends[1].over


@pytest.mark.parametrize("data", [b"", b"123", b"12345"])
def test_a_count_that_is_none(line: Line, data: bytes) -> None:
    with pytest.raises(frames.FrameError, match="count"):
        line.ends[0].take(frames.RELAY_ACK, data)
