"""The types of the modules that the kernel has loaded now: its list ``btf_modules``.

Each entry has the split BTF of a module, as the kernel has verified it and keeps it for BPF
(kernel/bpf/btf.c).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from guestdbg.debugger.program import drgn_import
from guestdbg.errors import GuestdbgError
from guestdbg.linux.btf import DrgnTypes
from guestdbg.linux.btf.table import MAX_BTF
from guestdbg.linux.program.btf_cache import parsed

__all__ = ["ModuleTypes"]

log = logging.getLogger(__name__)

_HEAD = "btf_modules"
#: Of a guest whose list does not end.
_MOST_MODULES = 1024
_MOST_BYTES = MAX_BTF // 8


class ModuleTypes:
    """The types of the loaded modules; iterating over it reads which these are.

    Args:
        program: the ``drgn.Program`` of the kernel.
        kernel: the types of the kernel.
        read: reads the kernel's memory.
    """

    def __init__(self, program: Any, kernel: DrgnTypes, read: Callable[[int, int], bytes]) -> None:
        self._drgn = drgn_import.drgn()
        self._program = program
        self._kernel = kernel
        self._read = read
        self._known: dict[tuple[str, int, int, int], DrgnTypes | None] = {}
        self._walking = False

    def __iter__(self) -> Iterator[DrgnTypes]:
        if self._walking:
            return  # looking at the list asks for types, which the kernel has or nobody
        self._walking = True
        try:
            loaded = list(self._loaded())
        finally:
            self._walking = False
        for key in loaded:
            if key not in self._known:
                if len(self._known) >= _MOST_MODULES:
                    self._known.clear()
                self._known[key] = self._types(*key)
            types = self._known[key]
            if types is not None:
                yield types

    def _loaded(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, number, address and size of the BTF of each module."""
        drgn = self._drgn
        try:
            head = self._program.variable(_HEAD).address_of_()
            node = head.next.read_()
            for _ in range(_MOST_MODULES):
                if node == head:
                    return
                btf = drgn.container_of(node, "struct btf_module", "list").btf.read_()
                name = btf.name.string_().decode("utf-8", "replace")
                yield name, int(btf.id), int(btf.data), int(btf.data_size)
                node = node.next.read_()
        except (LookupError, AttributeError, TypeError, ValueError, drgn.FaultError) as error:
            # A kernel without modules, or one whose list is damaged: there are no more.
            log.debug("the list of the modules' BTF ends: %s", error)

    def _types(self, name: str, _number: int, address: int, size: int) -> DrgnTypes | None:
        try:
            if size > _MOST_BYTES:
                raise GuestdbgError(f"it has {size} bytes, and at most {_MOST_BYTES} are read")
            btf = parsed(self._read(address, size), self._kernel.btf)
        except GuestdbgError as error:
            log.warning("the types of the module %s are not read: %s", name, error)
            return None
        return DrgnTypes(self._program, btf, self._kernel)
