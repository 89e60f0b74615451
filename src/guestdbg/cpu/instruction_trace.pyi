"""Types of the compiled module."""

from collections.abc import Callable

class InstructionBuffer:
    """The records of a trace, which the processors of one VM write: see instruction_trace.pyx.

    sink: is called with bytes, whole records. If it raises an exception, that is ``error``, and
    nothing is recorded any more. Only what has a time after ``start`` and not after ``stop`` is
    recorded.
    """

    def __init__(
        self,
        sink: Callable[[bytes], object],
        *,
        capacity: int = ...,  # bytes
        start: int | None = None,
        stop: int | None = None,
    ) -> None: ...
    def flush(self) -> None:
        """Give the records that there are to the sink. No processor may run."""
    @property
    def error(self) -> Exception | None: ...
    @property
    def lost(self) -> int: ...
    @property
    def reached(self) -> bool: ...
