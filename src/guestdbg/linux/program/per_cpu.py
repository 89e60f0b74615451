"""Where the variables of each CPU are: BTF has them as offsets in the section ``.data..percpu``.

The section's address is that of ``__per_cpu_start``. A kernel whose kallsyms has no variables
exports some of those in the section, from which it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.linux.btf import Btf

__all__ = ["PerCpu"]

_SECTION = ".data..percpu"
_START = "__per_cpu_start"
#: Variables that have to agree on where the section is.
_WITNESSES = 3
_U64 = (1 << 64) - 1


class PerCpu:
    """The addresses of the variables of each CPU, as ``per_cpu_ptr`` takes them.

    Args:
        btf: the kernel's.
        address_of: the address of a symbol; None if there is none of that name.
    """

    def __init__(self, btf: Btf, address_of: Callable[[str], int | None]) -> None:
        section = btf.section(_SECTION)
        self._address_of = address_of
        self._offsets: dict[str, tuple[int, int]] = {}
        for each in section.variables if section is not None else ():
            name = btf[each.variable].name
            self._offsets.setdefault(name, (each.variable, each.offset))
        self._start: int | None = None

    def find(self, name: str) -> tuple[int, int] | None:
        """The number of the type and the address of a variable; None if it is not known."""
        entry = self._offsets.get(name)
        if entry is None:
            return None
        number, offset = entry
        address = self._address_of(name)
        if address is None:
            start = self._section_start()
            address = None if start is None else start + offset & _U64
        return None if address is None else (number, address)

    def _section_start(self) -> int | None:
        if self._start is not None:
            return self._start
        start = self._address_of(_START)
        if start is None:
            starts: dict[int, int] = {}
            for name, (_, offset) in self._offsets.items():
                address = self._address_of(name)
                if address is not None:
                    start = address - offset & _U64
                    starts[start] = starts.get(start, 0) + 1
                    if starts[start] == _WITNESSES:
                        break
            start = max(starts, key=lambda each: starts[each]) if starts else None
        self._start = start
        return start
