"""The host's end of the channel: it never waits without a limit."""

import os
import socket
import threading
import time

import pytest

from guestdbg.lab.inside import frames
from guestdbg.lab.machine.channel import Channel, ChannelClosed, ReceiveTimeout


@pytest.fixture
def ends() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    return Channel(ours), theirs


def test_silence_ends_at_the_deadline(ends: tuple[Channel, socket.socket]) -> None:
    channel, _theirs = ends
    with pytest.raises(ReceiveTimeout):
        channel.receive(time.monotonic() + 0.05)


def test_half_a_frame_is_silence(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(frames.frame(frames.STDOUT, b"abc")[:-1])
    with pytest.raises(ReceiveTimeout):
        channel.receive(time.monotonic() + 0.05)
    theirs.sendall(b"c")
    assert channel.receive(time.monotonic() + 30) == ([(frames.STDOUT, b"abc")], set())


def test_the_end_of_the_other_side(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(frames.frame(frames.HELLO, b"{}"))
    theirs.close()
    assert channel.receive(None)[0] == [(frames.HELLO, b"{}")]
    with pytest.raises(ChannelClosed):
        channel.receive(None)
    channel.send(b"x" * 10)
    with pytest.raises(ChannelClosed):
        channel.receive(None)


def test_both_sides_may_send_more_than_the_line_holds(ends: tuple[Channel, socket.socket]) -> None:
    """Both ends send first: a channel that did not read while sending would wait for ever."""
    channel, theirs = ends
    much = b"".join(frames.pieces(frames.STDOUT, bytes(4 << 20)))
    received = bytearray()

    def other_side() -> None:
        theirs.sendall(much)
        while len(received) < len(much):
            received.extend(theirs.recv(1 << 16))
        theirs.sendall(frames.frame(frames.EXIT))

    thread = threading.Thread(target=other_side, daemon=True)
    thread.start()
    channel.send(much)
    seen = 0
    while True:
        arrived, _ = channel.receive(time.monotonic() + 30)
        seen += sum(len(payload) for _, payload in arrived)
        if arrived[-1][0] == frames.EXIT:
            break
    thread.join()
    assert seen == 4 << 20
    assert received == much


def test_another_descriptor_is_watched_along(ends: tuple[Channel, socket.socket]) -> None:
    channel, _theirs = ends
    out, into = os.pipe()
    try:
        os.write(into, b"key")
        assert channel.receive(time.monotonic() + 30, [out]) == ([], {out})
    finally:
        os.close(out)
        os.close(into)
