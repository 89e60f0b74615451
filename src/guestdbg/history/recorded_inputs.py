"""What came into a guest from outside while it ran, in little memory."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator

from guestdbg.machine import Input, Position

__all__ = ["RecordedInputs"]

_MOST_PORTS = 0xFFFF


class RecordedInputs:
    """The inputs of a run in their order, numbered from its beginning; the oldest can be forgotten.

    They are kept as columns: an object for each of them would take ten times as much.

    Attributes:
        first: the number of the first that is kept.
    """

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self.first = 0
        self._turns = array("Q")
        self._vcpus = array("B")
        self._instructions = array("Q")
        self._ports = array("H")
        #: 1: it was sampled.
        self._sampled = bytearray()
        #: Where the data of each ends, in all that there ever was.
        self._ends = array("Q")
        self._data = bytearray()
        #: How much of that was forgotten.
        self._forgotten = 0
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        for input_ in inputs:
            self.append(input_)

    def append(self, input_: Input) -> None:
        """Add an input at the end.

        Raises:
            ValueError: its position is before that of the last, or there are too many ports.
        """
        position, port, data, sampled = input_
        if self._turns and position < (last := self._position(-1)):
            raise ValueError(f"an input at {position} after one at {last}")
        number = self._numbers.get(port)
        if number is None:
            if len(self._names) > _MOST_PORTS:
                raise ValueError(f"inputs of more than {_MOST_PORTS + 1} ports")
            number = self._numbers[port] = len(self._names)
            self._names.append(port)
        self._turns.append(position.turn)
        self._vcpus.append(position.vcpu)
        self._instructions.append(position.instructions)
        self._ports.append(number)
        self._sampled.append(sampled)
        self._data += data
        self._ends.append(self._forgotten + len(self._data))

    def _position(self, at: int) -> Position:
        return Position(self._turns[at], self._vcpus[at], self._instructions[at])

    def __len__(self) -> int:
        """How many there were since the run began, with those that are forgotten."""
        return self.first + len(self._ends)

    def __getitem__(self, number: int) -> Input:
        """The input with this number. Raises IndexError if it is not kept."""
        at = number - self.first
        if not 0 <= at < len(self._ends):
            raise IndexError(f"input {number}: {self.first} to {len(self) - 1} are kept")
        start = (self._ends[at - 1] if at else self._forgotten) - self._forgotten
        return Input(
            self._position(at),
            self._names[self._ports[at]],
            bytes(self._data[start : self._ends[at] - self._forgotten]),
            bool(self._sampled[at]),
        )

    def __iter__(self) -> Iterator[Input]:
        """Those that are kept."""
        return (self[number] for number in range(self.first, len(self)))

    def truncate_to(self, count: int) -> None:
        """Forget all but those with the numbers below ``count``."""
        at = max(0, count - self.first)
        if at >= len(self._ends):
            return
        del self._data[(self._ends[at - 1] if at else self._forgotten) - self._forgotten :]
        self._delete(slice(at, None))

    def forget(self, count: int) -> None:
        """Forget those with the numbers below ``count``; the others keep theirs."""
        at = min(count - self.first, len(self._ends))
        if at <= 0:
            return
        end = self._ends[at - 1]
        # A new object: the old one would keep its memory.
        self._data = self._data[end - self._forgotten :]
        self._forgotten = end
        self._delete(slice(0, at))
        self.first += at

    def _delete(self, which: slice) -> None:
        del self._turns[which], self._vcpus[which], self._instructions[which]
        del self._ports[which], self._sampled[which], self._ends[which]

    def since(self, number: int) -> _Since:
        """The inputs from this number on, for ``Inputs.replay_own``."""
        return _Since(self, number)

    def next_posted(self, number: int) -> int:
        """The number of the first from there on that was not sampled; how many there are if none
        is."""
        at = self._sampled.find(0, number - self.first)
        return len(self) if at < 0 else self.first + at

    @property
    def memory_size(self) -> int:
        """Bytes."""
        columns = (self._turns, self._vcpus, self._instructions, self._ports, self._ends)
        return sum(map(sys.getsizeof, (*columns, self._sampled, self._data)))


class _Since:
    """The inputs from a number on, as an ``InputSource``: nothing is copied."""

    def __init__(self, inputs: RecordedInputs, number: int) -> None:
        self._inputs = inputs
        self._number = number

    def __len__(self) -> int:
        return len(self._inputs) - self._number

    def __getitem__(self, index: int) -> Input:
        return self._inputs[self._number + index]

    def next_posted(self, index: int) -> int:
        """See ``InputSource``."""
        return self._inputs.next_posted(self._number + index) - self._number
