"""Semihosting: what a guest asks of its debugger by HLT #0xF000.

Source: Arm, "Semihosting for AArch32 and AArch64", version 2.0. For users: docs/semihosting.md.
Lowest first:

operations   the numbers and names of the operations
options      what the user allows: ``Semihosting``
files        files of the host below one directory
calls        the operations themselves
"""

from guestdbg.semihosting.calls import Exited, NeedsInput, SemihostingCalls
from guestdbg.semihosting.operations import HLT_IMMEDIATE, operation_name
from guestdbg.semihosting.options import Semihosting

__all__ = [
    "HLT_IMMEDIATE",
    "Exited",
    "NeedsInput",
    "Semihosting",
    "SemihostingCalls",
    "operation_name",
]
