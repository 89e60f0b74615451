"""Which pages of memory were written since a reader looked last."""

from guestdbg.cpu.memory import PhysicalMemory

class DirtyPages:
    """A reader: which pages of a slot were written since it was opened, or since its last pages().

    ``guest_only``: only by the guest; otherwise also by userspace and devices, as far as they call
    ``PhysicalMemory.written()``. Raises ValueError for a slot that is not in use. No processor of
    the memory may run during any of its calls.
    """

    def __init__(self, memory: PhysicalMemory, slot: int, guest_only: bool = False) -> None: ...
    @property
    def slot(self) -> int: ...
    @property
    def is_open(self) -> bool: ...  # False after close(), or when the slot was removed
    def pages(self) -> list[tuple[int, int]]:
        """(first page, pages), ascending. Raises ValueError if it is not open."""

    def peek(self) -> list[tuple[int, int]]:
        """What ``pages`` would return now. Raises ValueError if it is not open."""

    def close(self) -> None: ...
