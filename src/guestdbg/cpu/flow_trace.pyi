"""Where a guest's control goes: a buffer of records."""

from collections.abc import Callable

class FlowBuffer:
    """The records of a trace, which the processors of one VM write, until the sink gets them.

    what: 1 calls and returns, 2 exceptions, 4 writes of context registers, or their sum. capacity:
    records until it is full. start, stop: only times after one and until the other. The sink is
    called with whole records; once it raises an exception, nothing is recorded any more. Raises
    ValueError: not such a set, or such a size.
    """

    def __init__(
        self,
        sink: Callable[[bytes], object],
        *,
        what: int,
        arguments: bool = False,
        capacity: int = 16384,
        start: int | None = None,
        stop: int | None = None,
    ) -> None: ...
    @property
    def error(self) -> Exception | None: ...  # what the sink has raised
    @property
    def lost(self) -> int: ...  # records for which there was no room
    @property
    def reached(self) -> bool: ...  # there was something after `stop`
    @property
    def record_size(self) -> int: ...  # bytes
    def flush(self) -> None: ...  # give the sink what there is; no processor may run
