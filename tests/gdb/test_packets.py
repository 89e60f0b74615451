"""The framing alone: any stream in any pieces, whole or damaged."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from guestdbg.gdb.packets import (
    MAX_PACKET,
    Damaged,
    Decoder,
    Mark,
    Packet,
    PacketEvent,
    checksum,
    escape,
    frame,
)


def decode(data: bytes, *cuts: int) -> list[PacketEvent]:
    decoder = Decoder()
    places = [0, *sorted(cuts), len(data)]
    events: list[PacketEvent] = []
    for start, end in itertools.pairwise(places):
        events += decoder.feed(data[start:end])
    return events


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 300), max_size=6))
def test_framed_packets_are_decoded_in_any_pieces(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(escape(payload)) for payload in payloads)
    cuts = [min(cut, len(stream)) for cut in cuts]
    assert decode(stream, *cuts) == [Packet(payload) for payload in payloads]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_give_the_same_events_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    cuts = [min(cut, len(data)) for cut in cuts]
    # A cut-off packet is reported once or twice: that depends on the pieces.
    whole = [event for event in decode(data) if not isinstance(event, Damaged)]
    assert [event for event in decode(data, *cuts) if not isinstance(event, Damaged)] == whole


@given(st.binary(max_size=40), st.integers(0, 3000))
def test_the_checksum_is_the_sum(data: bytes, times: int) -> None:
    for whole in (data, data * times, bytes([255]) * times):
        assert checksum(whole) == sum(whole) & 0xFF


def test_marks_between_packets() -> None:
    events = decode(b"++\x03-$OK#9a\x03 garbage +$g#67")
    assert events == [
        Mark.ACK,
        Mark.ACK,
        Mark.INTERRUPT,
        Mark.NAK,
        Packet(b"OK"),
        Mark.INTERRUPT,
        Mark.ACK,
        Packet(b"g"),
    ]


def test_a_wrong_checksum_is_reported() -> None:
    (event,) = decode(b"$g#68")
    assert event == Damaged("its checksum is 68, and the sum of its bytes is 67")
    (event,) = decode(b"$g#zz")
    assert isinstance(event, Damaged)
    (event,) = decode(b"$g#+7")
    assert isinstance(event, Damaged)


def test_a_cut_off_packet_does_not_damage_the_next() -> None:
    events = decode(b"$m4000$g#67")
    assert events == [Damaged("another packet begins inside it"), Packet(b"g")]


def test_runs_are_expanded() -> None:
    # "0* " is four zeros: the count is a character, the number of further copies plus 29.
    assert decode(frame(b"0* ")) == [Packet(b"0000")]
    assert decode(frame(b"x*~y")) == [Packet(b"x" * 98 + b"y")]
    for wrong in (b"* ", b"0*", b"0*\x1f", b"0*\x7f", b"0}"):
        (event,) = decode(frame(wrong))
        assert isinstance(event, Damaged), wrong


def test_size_is_bounded() -> None:
    assert decode(frame(b"a" * MAX_PACKET)) == [Packet(b"a" * MAX_PACKET)]
    (event,) = decode(frame(b"a" * (MAX_PACKET + 1)))
    assert isinstance(event, Damaged)
    (event,) = decode(frame(b"0*~" * (MAX_PACKET // 90)))
    assert isinstance(event, Damaged)


def test_an_endless_packet_is_not_buffered() -> None:
    decoder = Decoder()
    decoder.feed(b"$")
    for _ in range(100):
        assert decoder.feed(b"a" * MAX_PACKET) == []
        assert len(decoder._buffer) <= 3 * MAX_PACKET
    assert decoder.feed(b"#00$g#67") == [
        Damaged(f"it is longer than {MAX_PACKET} bytes"),
        Packet(b"g"),
    ]


def test_a_packet_inside_one_that_is_too_long_is_decoded() -> None:
    """However it comes: found by tools/fuzz.py."""
    stream = b"$" + b"y" * (2 * MAX_PACKET + 100) + frame(b"g")
    whole = decode(stream)
    assert whole[-1] == Packet(b"g")
    pieces = decode(stream, 2 * MAX_PACKET + 50)
    assert pieces[-1] == Packet(b"g")
    assert [type(event) for event in pieces] == [type(event) for event in whole]
