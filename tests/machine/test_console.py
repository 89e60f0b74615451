"""The host's end of the serial line."""

import io
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.machine.console import FLUSH_AT, Console


@given(st.binary(max_size=20000))
def test_everything_sent_arrives_once_and_in_order(data: bytes) -> None:
    pieces: list[bytes] = []
    console = Console(pieces.append)
    for byte in data:
        console.put(byte)
    console.flush()
    assert b"".join(pieces) == data
    assert console.sent == len(data)
    assert all(len(piece) <= FLUSH_AT for piece in pieces)


def test_a_line_is_shown_when_it_ends() -> None:
    pieces: list[bytes] = []
    console = Console(pieces.append)
    for byte in b"one\ntwo":
        console.put(byte)
    assert pieces == [b"one\n"]


def test_a_file_object_is_written_and_flushed() -> None:
    class Recording(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    file = Recording()
    console = Console(file)
    console.put(ord("\n"))
    assert file.getvalue() == b"\n"
    assert file.flushed == 1


def test_input_is_taken_as_there_is_room() -> None:
    console = Console()
    console.feed(b"abc")
    assert console.take(0) == b""
    assert console.take(2) == b"ab"
    assert console.pending_input == 1
    assert console.take(16) == b"c"
    assert console.take(16) == b""


def test_answers_wait_for_their_prompts_in_turn() -> None:
    console = Console()
    console.answer(b"=> ", b"version\n")
    console.answer(b"=> ", b"md 0\n")
    for byte in b"Hit any key\n=> ":
        console.put(byte)
    assert console.take(99) == b"version\n"
    for byte in b"U-Boot\n=>":
        console.put(byte)
    assert console.take(99) == b"", "not before the whole prompt"
    console.put(ord(" "))
    assert console.take(99) == b"md 0\n"


def test_an_answer_survives_a_flood_before_it() -> None:
    console = Console()
    console.answer(b"prompt", b"reply")
    for byte in b"x" * 100_000 + b"prompt":
        console.put(byte)
    assert console.take(99) == b"reply"


def test_waiting_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="use feed"):
        Console().answer(b"", b"x")


def test_feeding_from_other_threads_loses_nothing() -> None:
    console = Console()
    threads = [Thread(target=lambda: [console.feed(b"ab") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = b""
    while len(taken) < 4000:
        taken += console.take(16)
    for thread in threads:
        thread.join()
    assert taken == b"ab" * 2000
