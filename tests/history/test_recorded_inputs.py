"""The inputs of a run, kept in columns: the same as a list of them, from which the oldest go."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.history.recorded_inputs import RecordedInputs
from guestdbg.machine import Input, Position

POSITIONS = st.builds(Position, st.integers(0, 5), st.integers(0, 3), st.integers(0, 1 << 40))
INPUTS = st.builds(
    Input,
    POSITIONS,
    st.sampled_from(["console", "rtc", "net"]),
    st.binary(max_size=9),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(INPUTS, max_size=30), st.data())
def test_it_is_a_list(inputs: list[Input], data: st.DataObject) -> None:
    inputs.sort(key=lambda item: item.position)
    kept = RecordedInputs(inputs)
    first = 0
    for _ in range(data.draw(st.integers(0, 3))):
        count = data.draw(st.integers(0, len(inputs) + 1))
        if data.draw(st.booleans()):
            kept.forget(count)
            first = max(first, min(count, len(inputs)))
        elif count >= first:
            kept.truncate_to(count)
            inputs = inputs[:count]
        if inputs:
            inputs.append(inputs[-1]._replace(data=b"more"))
            kept.append(inputs[-1])
            if first == len(inputs):
                first -= 1
        assert len(kept) == len(inputs)
        assert kept.first == first
        assert list(kept) == inputs[first:]
    since = data.draw(st.integers(first, len(inputs)))
    view = kept.since(since)
    assert [view[n] for n in range(len(view))] == inputs[since:]
    for n in range(len(view) + 1):
        posted = [m for m in range(n, len(view)) if not view[m].sampled]
        assert view.next_posted(n) == (posted[0] if posted else len(view))
    for number in (first - 1, len(inputs)):
        with pytest.raises(IndexError, match="are kept"):
            kept[number]


def test_they_take_little_memory_and_give_it_back() -> None:
    kept = RecordedInputs()
    for number in range(100_000):
        kept.append(Input(Position(number, 0, 50 * number), "console", b"x"))
    assert kept.memory_size < 40 * 100_000
    assert kept.memory_size < sum(map(sys.getsizeof, kept)) / 2
    kept.forget(99_000)
    assert kept.memory_size < 60_000
    assert kept[99_999].data == b"x"
    kept.truncate_to(99_500)
    assert len(kept) == 99_500


def test_the_order_is_checked() -> None:
    kept = RecordedInputs([Input(Position(3, 0, 7), "console", b"x")])
    with pytest.raises(ValueError, match=r"turn 3, vCPU 0, 6 .* after one at turn 3"):
        kept.append(Input(Position(3, 0, 6), "console", b"y"))
