"""What comes into a board from outside: one way in, at defined positions, recorded and replayed.

Typed text, network packets, the power button and the host's clock are not part of the guest's own
state. Each comes in through an ``InputPort``, in one of two ways:

- ``post``: it arrives by itself. Any thread may post; nothing reaches the device then. The board
  delivers what was posted in order, in the thread that runs the vCPU, where no instruction is in
  progress: when ``Board.run`` is entered, and after an access to a device.
- ``sample``: the device asks for a value, such as the time of the host, in an access of the guest.

Both are stamped with the ``Position`` and passed to ``Inputs.listener``. ``Inputs.replay`` gives
them again at the same positions: the run is then the same, on a provider that counts instructions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from guestdbg.machine.errors import MachineError, ReplayError

if TYPE_CHECKING:
    from guestdbg.machine.position import Position

__all__ = ["Input", "InputLog", "InputPort", "InputSource", "Inputs"]

#: Bytes that wait to be delivered at most, over all ports: those who post do not fill the memory.
PENDING_MAX = 64 << 20


class Input(NamedTuple):
    """One input.

    Attributes:
        position: where it was delivered, or sampled.
        port: the name of the port: ``"console"``, ``"power"``, …
        data: what came in.
        sampled: the device asked for it (``InputPort.sample``).
    """

    position: Position
    port: str
    data: bytes
    sampled: bool = False


class InputSource(Protocol):
    """Inputs of a run in their order, which need not be in memory as such."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Input: ...

    def next_posted(self, index: int) -> int:
        """The index of the first one from ``index`` on that was not sampled; the length if there
        is none."""


class _Listed:
    """The inputs of a list as an ``InputSource``."""

    def __init__(self, inputs: list[Input]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> Input:
        return self._inputs[index]

    def next_posted(self, index: int) -> int:
        """See ``InputSource``."""
        while index < len(self._inputs) and self._inputs[index].sampled:
            index += 1
        return index


class _Replay:
    """Where a replay of inputs has come to.

    Attributes:
        next: the next one; None: there is none left.
    """

    def __init__(self, inputs: InputSource) -> None:
        self._inputs = inputs
        self._index = -1
        self._posted = 0
        self._posted_at: Position | None = None
        self.next: Input | None = None
        self._find_posted()
        self.take()

    def take(self) -> None:
        """The next one has been given."""
        self._index += 1
        left = self._index < len(self._inputs)
        self.next = self._inputs[self._index] if left else None
        if self._index > self._posted:
            self._posted = self._index
            self._find_posted()

    def _find_posted(self) -> None:
        self._posted = self._inputs.next_posted(self._posted)
        left = self._posted < len(self._inputs)
        self._posted_at = self._inputs[self._posted].position if left else None

    @property
    def posted_at(self) -> Position | None:
        """The position of the next one that was not sampled, or None."""
        return self._posted_at


class InputLog:
    """The inputs of a run in their order: ``board.inputs.listener = log.append`` records them."""

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._inputs = list(inputs)

    def append(self, input_: Input) -> None:
        """Add an input at the end.

        Raises:
            ValueError: its position is before that of the last.
        """
        if self._inputs and input_.position < self._inputs[-1].position:
            raise ValueError(
                f"an input at {input_.position} after one at {self._inputs[-1].position}: a log "
                "is of one run (truncate it when the board goes back)"
            )
        self._inputs.append(input_)

    def truncate(self, position: Position) -> None:
        """Remove the inputs after ``position``."""
        while self._inputs and self._inputs[-1].position > position:
            self._inputs.pop()

    def truncate_to(self, count: int) -> None:
        """Remove all inputs but the first ``count``."""
        del self._inputs[count:]

    def since(self, position: Position) -> InputLog:
        """The inputs at ``position`` and after it, as a new log."""
        return InputLog(item for item in self._inputs if item.position >= position)

    def __iter__(self) -> Iterator[Input]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> Input:
        return self._inputs[index]


class InputPort:
    """Where one kind of input comes in: ``Inputs.connect`` makes it.

    ``pending`` is the number of posted bytes that are not delivered yet.
    """

    def __init__(self, inputs: Inputs, name: str, deliver: Callable[[bytes], object]) -> None:
        self.name = name
        self.deliver = deliver
        self.pending = 0
        self._inputs = inputs

    def post(self, data: bytes) -> bool:
        """Have ``data`` delivered to the device at the next position where that is possible.

        Any thread may call it. Returns whether it will be delivered: not while inputs are
        replayed, nor if 64 MiB wait already.
        """
        return self._inputs.post(self, data)

    def sample(self, take: Callable[[], bytes]) -> bytes:
        """What ``take`` returns; in a replay, what it returned then.

        Raises:
            ReplayError: the device did not ask for it at this position then.
        """
        return self._inputs.sample(self, take)


class Inputs:
    """The way in for everything that comes from outside a board.

    ``position`` gives where the board is, ``wake`` makes the vCPU that runs leave the guest.

    Attributes:
        listener: called with each ``Input``, after it was delivered. None: nobody listens.
        pending: whether something is to be delivered.
        delivering: whether a device is given what came in.
    """

    def __init__(self, position: Callable[[], Position], wake: Callable[[], object]) -> None:
        self.listener: Callable[[Input], object] | None = None
        self.pending = False
        self.delivering = False
        self._position = position
        self._wake = wake
        self._ports: dict[str, InputPort] = {}
        self._queue: deque[tuple[InputPort, bytes]] = deque()
        self._lock = threading.Lock()
        self._size = 0
        self._replay: _Replay | None = None
        self._to_the_end = False
        self._thread: int | None = None

    def connect(self, name: str, deliver: Callable[[bytes], object]) -> InputPort:
        """A new port. ``deliver`` passes posted data to the device.

        Raises:
            MachineError: there is a port with this name.
        """
        if name in self._ports:
            raise MachineError(f"there are two inputs with the name {name!r}: name one differently")
        port = self._ports[name] = InputPort(self, name, deliver)
        return port

    @property
    def ports(self) -> frozenset[str]:
        """The names of all ports."""
        return frozenset(self._ports)

    def post(self, port: InputPort, data: bytes) -> bool:
        """See ``InputPort.post``."""
        with self._lock:
            if self._replay is not None or self._size + len(data) > PENDING_MAX:
                return False
            self._queue.append((port, data))
            self._size += len(data)
            port.pending += len(data)
            self.pending = True
        if threading.get_ident() != self._thread:
            self._wake()
        return True

    def sample(self, port: InputPort, take: Callable[[], bytes]) -> bytes:
        """See ``InputPort.sample``."""
        here = self._position()
        if self._replay is None:
            data = take()
        else:
            recorded = self._replay.next
            if recorded is None:
                raise ReplayError(
                    f"this run is not the recorded one: {port.name} is read at {here}"
                )
            if (recorded.position, recorded.port, recorded.sampled) != (here, port.name, True):
                raise ReplayError(_differs(recorded, f"{port.name} is read at {here}"))
            data = recorded.data
            self._taken()
        if self.listener is not None:
            self.listener(Input(here, port.name, data, True))
        return data

    def deliver(self) -> None:
        """Deliver what was posted. For the board, in the thread that runs the vCPU."""
        here = self._position()
        while True:
            with self._lock:
                if not self._queue:
                    self.pending = False
                    return
                port, data = self._queue.popleft()
                self._size -= len(data)
                port.pending -= len(data)
            self._pass_on(Input(here, port.name, data))

    def discard(self) -> None:
        """Forget what was posted and is not delivered."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._queue.clear()
        self._size = 0
        self.pending = False
        for port in self._ports.values():
            port.pending = 0

    def entered_by_this_thread(self) -> None:
        """Inputs that this thread posts from now on wake no vCPU: the board looks for them."""
        self._thread = threading.get_ident()

    # ---- replay ------------------------------------------------------------------------------

    def replay(self, inputs: Iterable[Input], *, to_the_end: bool = False) -> None:
        """Give these inputs again, at their positions, in place of what comes from outside.

        The board must be where they begin: loaded in the same way, or restored from a snapshot.
        What is posted meanwhile is dropped. After the last one, inputs come from outside again;
        ``to_the_end``: only after ``stop_replay``.

        Raises:
            ReplayError: one is before the present position, they are not in order, or one is for a
                port that this board does not have.
        """
        recorded = list(inputs)
        last = self._position()
        for item in recorded:
            if item.port not in self._ports:
                raise ReplayError(
                    f"an input for {item.port!r}, and this board has {', '.join(self._ports)}"
                )
            if item.position < last:
                raise ReplayError(f"an input at {item.position} is to be given after {last}")
            last = item.position
        self._begin_replay(_Listed(recorded) if recorded or to_the_end else None, to_the_end)

    def replay_own(self, inputs: InputSource) -> None:
        """Give inputs again that this board had, from where it is now, until ``stop_replay``.

        They are not looked at before it is their turn, so many of them cost nothing.
        """
        self._begin_replay(inputs, to_the_end=True)

    def _begin_replay(self, inputs: InputSource | None, to_the_end: bool) -> None:
        with self._lock:
            self._forget()
            self._replay = None if inputs is None else _Replay(inputs)
            self._to_the_end = to_the_end

    def stop_replay(self) -> None:
        """Drop the inputs that were not given again yet: they come from outside again."""
        with self._lock:
            self._replay = None

    @property
    def recorded(self) -> bool:
        """Whether inputs are recorded, or given again."""
        return self.listener is not None or self._replay is not None

    def has_sample(self, port: InputPort) -> bool:
        """Whether the next input of the replay is what ``port`` sampled here."""
        recorded = None if self._replay is None else self._replay.next
        if recorded is None:
            return False
        return (recorded.position, recorded.port, recorded.sampled) == (
            self._position(),
            port.name,
            True,
        )

    @property
    def replaying(self) -> bool:
        """Whether inputs are given again."""
        return self._replay is not None

    def next_position(self) -> Position | None:
        """The position of the next input of the replay that is to be delivered, or None.

        Inputs that are sampled may come before it.
        """
        return None if self._replay is None else self._replay.posted_at

    def deliver_recorded(self) -> bool:
        """Deliver the next input of the replay if the board is at its position.

        Raises:
            ReplayError: the board is past it.
        """
        recorded = None if self._replay is None else self._replay.next
        if recorded is None:
            return False
        here = self._position()
        if recorded.position < here:
            raise ReplayError(_differs(recorded, f"the board is at {here}"))
        if recorded.position > here or recorded.sampled:
            return False
        self._taken()
        self._pass_on(recorded)
        return True

    def _taken(self) -> None:
        assert self._replay is not None
        self._replay.take()
        if self._replay.next is None and not self._to_the_end:
            self._replay = None

    def _pass_on(self, input_: Input) -> None:
        self.delivering = True
        try:
            self._ports[input_.port].deliver(input_.data)
        finally:
            self.delivering = False
        if self.listener is not None:
            self.listener(input_)


def _differs(recorded: Input, found: str) -> str:
    return (
        f"this run is not the recorded one: the next input is for {recorded.port!r} at "
        f"{recorded.position}, and {found}"
    )
