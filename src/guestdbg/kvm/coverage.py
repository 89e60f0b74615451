"""An optional interface: which instructions a vCPU executed, and how often."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable

__all__ = ["CoverageData", "CoverageForm", "SupportsCoverage"]

#: Whether instructions were executed; how often; and how often each branch went where.
CoverageForm = Literal["first", "counts", "edges"]


class CoverageData(NamedTuple):
    """What a vCPU executed, as native 64-bit words, three for each block or edge.

    Attributes:
        blocks: address | EL | branch << 1, instructions, how often these were executed one after
            the other. ``branch`` says that the last one is a branch. Blocks overlap: an
            instruction was executed as often as all blocks with it. With ``"first"`` the count
            is 1.
        edges: with ``"edges"``: address of the branch | EL, address at which the vCPU went on, how
            often; an edge may occur more than once. Exceptions and their returns are no branches.
        complete: False: there was no room for some of them (a million blocks, a million edges).
    """

    blocks: bytes
    edges: bytes
    complete: bool


@runtime_checkable
class SupportsCoverage(Protocol):
    """A vCPU that notes what it executes. All of this between runs only.

    An instruction counts when it retires, as in ``SupportsInstructionCount``: one that raises an
    exception instead does not, one that the provider emulates does.

    Attributes:
        coverage_paused: nothing is noted for now.
    """

    coverage_paused: bool

    def start_coverage(self, form: CoverageForm) -> None:
        """Note from here on what is executed. What was noted before is forgotten.

        Raises:
            KvmError: EINVAL: not a form; ENOMEM.
        """

    def stop_coverage(self) -> None:
        """Note nothing any more, and forget what was noted."""

    def coverage(self) -> CoverageData:
        """What was noted since ``start_coverage``.

        Raises:
            KvmError: EINVAL: it was not called.
        """
