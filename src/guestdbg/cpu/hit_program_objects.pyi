"""Hit programs, prepared for the processor."""

from collections.abc import Sequence

class HitPrograms:
    """Programs for hits. programs: (kind, address, length, access, code, buffer, registers) each,
    and where something is recorded also fields, vcpu.

    kind 0: watch of length bytes; 1: breakpoint. access: 1 reads, 2 writes. code: operations (op,
    index, value) as in guestdbg.kvm.hit_programs, or None. buffer: where to record, or None to
    stop. fields: operations for each further word of a record. vcpu: its number in records.
    plain: (address, end) of other watches, (pc, pc) of other breakpoints. hidden: physical
    addresses of words that must not be read. Raises ValueError for anything invalid.
    """

    def __init__(
        self,
        programs: Sequence[
            tuple[
                int,
                int,
                int,
                int,
                Sequence[tuple[int, int, int]] | None,
                object,
                Sequence[int],
            ]
            | tuple[
                int,
                int,
                int,
                int,
                Sequence[tuple[int, int, int]] | None,
                object,
                Sequence[int],
                Sequence[Sequence[tuple[int, int, int]]],
                int,
            ]
        ],
        plain: Sequence[tuple[int, int]] = (),
        hidden: Sequence[int] = (),
    ) -> None: ...
    def __len__(self) -> int: ...
    def counts(self, n: int) -> tuple[int, int]: ...
    def set_counts(self, n: int, seen: int, passed: int) -> None: ...
    def recorded(self, n: int) -> int: ...
    def clear(self, n: int, room: int = 0) -> None: ...
    def full(self) -> int: ...
    def hit(
        self,
    ) -> tuple[int, int, int, int, list[tuple[int, bool, bytes, bytes | None]]]: ...
