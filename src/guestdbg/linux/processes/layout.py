"""Where the members of the kernel's structures are, by its BTF: by structure and path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.linux.state.layouts import Field, Layouts

__all__ = ["KernelLayout"]


class KernelLayout:
    """Members of structures of one kernel.

    Args:
        layouts: gives the layouts of its structures. Raises BadBtf without BTF.
    """

    def __init__(self, layouts: Callable[[], Layouts]) -> None:
        self._layouts = layouts
        self.field = cache(self._field)

    def _field(self, name: str, path: str) -> Field:
        return self._layouts().struct(name).field(path)

    def size(self, name: str) -> int:
        """The size of a structure, in bytes. Raises MissingKernelData."""
        return self._layouts().struct(name).size

    def has(self, name: str, path: str) -> bool:
        """Whether a structure has such a member: kernels differ."""
        return self._layouts().struct(name).has(path)
