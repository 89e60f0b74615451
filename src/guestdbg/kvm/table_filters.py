"""Table filters: a declared extension of the seam, for points in one address space only.

Neither a breakpoint nor a watchpoint register compares TTBR0_EL1. A debugger that is to stop for
one process only has to take every hit at the same virtual address, compare, and step over it. A
provider with this extension makes the comparison itself: each register that ``set_guest_debug``
sets may have the tables that it matches with, in ``GuestDebug.break_tables`` and ``watch_tables``.
While TTBR0_EL1 has another one, the register does not match.

What is compared is BADDR, without the ASID (kernels reuse them, and may have it in TTBR1_EL1) and
without CnP: ``table_of`` gives it. Nothing may depend on the extension: a debugger that compares
at each hit has the same results, and the tests compare the two.
"""

from __future__ import annotations

import errno
from typing import Final, Protocol, runtime_checkable

from guestdbg.kvm.errors import KvmError

#: Tables of one debug register. The processor has the same number (cpu/address_space.pxd).
MAX_TABLES: Final = 64

_BADDR: Final = 0xFFFF_FFFF_FFFE

#: The tables that a debug register matches with; empty: with none.
Tables = tuple[int, ...]


def table_of(ttbr: int) -> int:
    """What is compared of TTBR0_EL1: bits 47 to 1 (BADDR), in their place."""
    return ttbr & _BADDR


def check_tables(name: str, tables: tuple[Tables | None, ...]) -> None:
    """Raise KvmError (EINVAL) for more tables than a register has, or a value that is none."""
    for n, each in enumerate(tables):
        if each is None:
            continue
        if len(each) > MAX_TABLES:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_GUEST_DEBUG",
                f"{name}[{n}] has {len(each)} tables: one register has at most {MAX_TABLES}",
            )
        for table in each:
            if table != table_of(table):
                raise KvmError(
                    errno.EINVAL,
                    "KVM_SET_GUEST_DEBUG",
                    f"{name}[{n}]: {table:#x} is no table: these are bits 47 to 1 of TTBR0_EL1",
                )


@runtime_checkable
class SupportsTableFilters(Protocol):
    """A vCPU whose debug registers can be limited to some address spaces."""

    @property
    def max_tables(self) -> int:
        """How many tables one debug register can have, at most ``MAX_TABLES``."""
