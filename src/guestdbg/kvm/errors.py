"""The error that a call of the KVM API raises."""

import errno as _errno

from guestdbg.errors import GuestdbgError


class KvmError(GuestdbgError, OSError):
    """A KVM call failed.

    Attributes:
        errno: the kernel's error number (``errno.EINVAL``, ...), the same from both providers.
        call: the call that failed, by its KVM name (``"KVM_SET_GUEST_DEBUG"``).
        text: what was wrong, and what would be right.
    """

    def __init__(self, errno: int, call: str, text: str) -> None:
        super().__init__(errno, f"{call}: {text}")
        self.call = call
        self.text = text

    def __reduce__(self) -> tuple[type["KvmError"], tuple[int, str, str]]:
        return type(self), (self.errno or 0, self.call, self.text)

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno or 0, str(self.errno))
        return f"{self.call}: {self.text} ({name})"
