"""What the build of stencils knows of a host's processor."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar


class NotCut(ValueError):
    """Why a function has no stencil."""


class Machine(ABC):
    """A host's processor; x86_64 and aarch64 are the ones that there are."""

    #: As object_file and the compiler (by its macro) call it.
    name: ClassVar[str]
    #: The compiler's options beside those of each host (build.FLAGS).
    flags: ClassVar[Sequence[str]]
    #: A line of the compiler's output that jumps onward; the group is where.
    jump: ClassVar[re.Pattern[str]]
    #: One that branches to a label; the groups are what is before the label, and the label.
    branch: ClassVar[re.Pattern[str]]
    #: Kinds of patches (holes) by the numbers of ELF's relocations.
    kinds: ClassVar[Mapping[int, int]]
    #: Those of them that give the distance from the patch, or a part of it.
    relative: ClassVar[frozenset[int]]
    #: Of the relocation of a jump to the start of something; it is of the jump's last 4 bytes.
    jump_addend: ClassVar[int]

    @abstractmethod
    def is_jump(self, code: bytes, offset: int) -> bool:
        """Whether the instruction that the relocation at `offset` is in jumps, with a condition or
        without."""

    @abstractmethod
    def is_call(self, code: bytes, offset: int) -> bool:
        """The same of a call."""

    @abstractmethod
    def last_jump(self, code: bytes) -> int:
        """The bytes of the jump without a condition that the code ends with, or 0."""
