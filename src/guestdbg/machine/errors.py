"""The errors of boards and of loading guests.

Every text says what is wrong and what would be right, in terms of the file or the option.
"""

from guestdbg.deprecation import deprecated_names
from guestdbg.errors import GuestdbgError


class MachineError(GuestdbgError):
    """A board cannot be made with these arguments, or cannot do what was requested."""


class ReplayError(MachineError):
    """Recorded inputs cannot be given again: the run differs from the recorded one."""


class PhysicalAddressError(MachineError):
    """The host accessed guest-physical addresses at which the board has no memory."""


class LoadError(GuestdbgError):
    """A guest cannot be loaded. The subclasses say why."""


class UnreadableError(LoadError):
    """The file does not exist, is a directory, or may not be read."""


class EmptyFileError(LoadError):
    """The file holds nothing."""


class TruncatedError(LoadError):
    """The file is shorter than its headers say."""


class ForeignError(LoadError):
    """The file is for another machine, width or byte order, or not for bare metal."""


class MalformedError(LoadError):
    """The file's headers contradict each other or the format."""


class UnknownFormatError(LoadError):
    """The contents of the file do not show what kind of file it is."""


class OverlapError(LoadError):
    """Two parts of the guest overlap in memory."""


class OutsideMemoryError(LoadError):
    """A part of the guest is outside the board's memory, or does not fit into it."""


__getattr__ = deprecated_names(__name__, {"AddressError": "PhysicalAddressError"})
