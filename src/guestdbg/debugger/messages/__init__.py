"""What a guest wants and does not get here, said once each; and what its kernel reports.

extensions      the extension that an instruction belongs to
unimplemented   instructions of extensions that the processor does not have
guest_messages  the messages of one guest, and who is told of them
kernel_panic    the panic of a Linux kernel, from the text on its console
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.debugger.messages.guest_messages import GuestMessages
    from guestdbg.debugger.messages.unimplemented import UnimplementedInstruction

__all__ = ["GuestMessages", "UnimplementedInstruction"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.debugger.messages.guest_messages": ("GuestMessages",),
        "guestdbg.debugger.messages.unimplemented": ("UnimplementedInstruction",),
    },
)
