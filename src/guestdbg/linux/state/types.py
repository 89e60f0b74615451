"""Where the layouts of structures come from: BTF, or the debug information of a vmlinux."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.linux.btf.records import Kind, TypeRecord

__all__ = ["TypeTable"]


class TypeTable(Protocol):
    """Types by number, as BTF has them."""

    def find(self, name: str, kinds: Collection[Kind]) -> list[int]:
        """The numbers of the types of that name, of these kinds."""

    def kind(self, number: int) -> Kind:
        """The kind of a type."""

    def __getitem__(self, number: int) -> TypeRecord:
        """The type of that number."""
