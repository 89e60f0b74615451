"""Optional interfaces: which instructions a vCPU executed, how often, and where branches went."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable

__all__ = ["CoverageData", "CoverageForm", "SupportsCoverage", "SupportsCoverageMap"]

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


@runtime_checkable
class SupportsCoverageMap(Protocol):
    """A vCPU that counts where its branches go in a map of bytes, as fuzzers have them.

    Its own coverage and that of ``SupportsCoverage`` exclude each other: starting one ends the
    other. All of this between runs only.
    """

    def start_coverage_map(self, counters: object) -> None:
        """Count from here on in a buffer, which stays the caller's: to read, and to clear.

        For an edge, which leads from a branch to the instruction that is executed after it, a hash
        of both addresses and the EL of the branch selects one of the bytes. Different edges may
        have the same byte. It depends neither on what else was executed, nor on where runs began
        and ended. 255 is followed by 1: what was executed is never 0. Exceptions and their returns
        are no branches. Edges of more than a million blocks have no byte of their own.

        Several vCPUs may count in the same buffer. It may be memory that is shared with other
        processes. It cannot be resized while it is in use.

        Raises:
            KvmError: EINVAL: it has no bytes or more than 2**32, or cannot be written; ENOMEM.
        """

    def stop_coverage(self) -> None:
        """Count no more, and let go of the buffer."""
