"""Semihosting: what a guest asks of its debugger by HLT #0xF000.

Source: Arm, "Semihosting for AArch32 and AArch64", version 2.0. For users: docs/semihosting.md.
Lowest first:

operations   the numbers and names of the operations
options      what the user allows: ``Semihosting``
files        files of the host below one directory
remote       files of the machine where an attached debugger runs
handles      handles that are not files: the console, the features
call_log     what a call does beside its result
calls        the operations themselves
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.semihosting.call_log import CallLog
    from guestdbg.semihosting.calls import Exited, SemihostingCalls
    from guestdbg.semihosting.handles import NeedsInput
    from guestdbg.semihosting.operations import HLT_IMMEDIATE, operation_name
    from guestdbg.semihosting.options import TARGETS, Semihosting, SemihostingError, Target
    from guestdbg.semihosting.remote import (
        Argument,
        Buffer,
        Data,
        Name,
        RemoteGone,
        RemoteHost,
        RemoteInterrupted,
    )

__all__ = [
    "HLT_IMMEDIATE",
    "TARGETS",
    "Argument",
    "Buffer",
    "CallLog",
    "Data",
    "Exited",
    "Name",
    "NeedsInput",
    "RemoteGone",
    "RemoteHost",
    "RemoteInterrupted",
    "Semihosting",
    "SemihostingCalls",
    "SemihostingError",
    "Target",
    "operation_name",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.semihosting.call_log": ("CallLog",),
        "guestdbg.semihosting.calls": (
            "Exited",
            "SemihostingCalls",
        ),
        "guestdbg.semihosting.handles": ("NeedsInput",),
        "guestdbg.semihosting.operations": (
            "HLT_IMMEDIATE",
            "operation_name",
        ),
        "guestdbg.semihosting.options": (
            "TARGETS",
            "Semihosting",
            "SemihostingError",
            "Target",
        ),
        "guestdbg.semihosting.remote": (
            "Argument",
            "Buffer",
            "Data",
            "Name",
            "RemoteGone",
            "RemoteHost",
            "RemoteInterrupted",
        ),
    },
)
