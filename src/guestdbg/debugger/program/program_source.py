"""A drgn program that comes from elsewhere than ELF files, such as that of a running kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from guestdbg.debugger.errors import DebuggerError
    from guestdbg.debugger.program.local_variables.scope_source import ScopeSource

__all__ = ["ProgramSource"]


class ProgramSource(Protocol):
    """Makes the ``drgn.Program`` that the debug information of the images is added to."""

    @property
    def has_types(self) -> bool:
        """Whether it has any types."""

    @property
    def is_outdated(self) -> bool:
        """Whether a program that is made now would know more than the last one."""

    @property
    def more_names(self) -> str:
        """What would have names that it does not have, for a message; empty: nothing."""

    @property
    def scope(self) -> ScopeSource:
        """Names that code sees, apart from the debug information of the images."""

    def make(self, has_memory: Callable[[], bool]) -> Any:
        """A new program, with memory. Its reads fail while ``has_memory`` is false."""

    def unknown(self, name: str) -> DebuggerError | None:
        """The error for a variable whose type is not known; None: there is no such symbol."""
