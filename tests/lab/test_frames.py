"""Frames arrive as they were sent, in whatever pieces their bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.lab.inside import frames

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=12)


@given(FRAMES, st.lists(st.integers(1, 200), min_size=1))
def test_any_cut_of_the_stream_gives_the_same_frames(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frames.frame(kind, payload) for kind, payload in sent)
    reader = frames.Reader()
    found = []
    at = turn = 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found == sent


@given(st.binary(max_size=3 * frames.PIECE))
def test_pieces_are_the_whole(data: bytes) -> None:
    reader = frames.Reader()
    found = [f for piece in frames.pieces(frames.STDOUT, data) for f in reader.feed(piece)]
    assert b"".join(payload for _, payload in found) == data
    assert all(0 < len(payload) <= frames.PIECE for _, payload in found)


def test_what_is_no_frame_is_not_waited_for() -> None:
    with pytest.raises(frames.FrameError, match="4294967295 bytes"):
        frames.Reader().feed(b"\x01\xff\xff\xff\xff")
