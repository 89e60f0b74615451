"""A real arm64 KVM on any machine: Debian's kernel in a QEMU that emulates EL2.

``Lab`` boots it and runs commands in it; see docs/lab.md. Nothing here imports the rest of
guestdbg, which is carried inside and runs there.
"""

from guestdbg.lab.errors import CommandTimeout, LabError
from guestdbg.lab.exchange import Live, Result
from guestdbg.lab.forward import Forward
from guestdbg.lab.session import Lab, prepare

__all__ = ["CommandTimeout", "Forward", "Lab", "LabError", "Live", "Result", "prepare"]
