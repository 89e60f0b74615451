"""What can be wrong with a board or with what is to be loaded into it.

Every text says what was wrong and what would be right, in words for the person who gave the file.
"""

from guestdbg.deprecation import deprecated_names
from guestdbg.errors import GuestdbgError


class MachineError(GuestdbgError):
    """The board cannot be as it was asked for, or cannot go on."""


class PhysicalAddressError(MachineError):
    """An access from outside to guest-physical memory that the board has not."""


class LoadError(GuestdbgError):
    """A guest cannot be loaded. Its subclasses say in which way."""


class UnreadableError(LoadError):
    """The file is not there, is a directory, or may not be read."""


class EmptyFileError(LoadError):
    """The file holds nothing."""


class TruncatedError(LoadError):
    """The file ends before what its headers promise."""


class ForeignError(LoadError):
    """The file is for another machine, width or byte order, or not for bare metal."""


class MalformedError(LoadError):
    """The file's headers contradict each other or the format."""


class UnknownFormatError(LoadError):
    """The file's kind cannot be told from its contents."""


class OverlapError(LoadError):
    """Two parts of the guest claim the same memory."""


class OutsideMemoryError(LoadError):
    """A part of the guest lies where the board has no memory, or does not fit into it."""


__getattr__ = deprecated_names(__name__, {"AddressError": "PhysicalAddressError"})
