"""A real arm64 KVM on any machine: Debian's kernel in a QEMU that emulates EL2.

``Lab`` boots it and runs commands in it; see docs/lab.md. Nothing here imports the rest of
guestdbg: a copy of it goes into the lab and runs there.

errors   the exceptions
cache    the directory for what was downloaded and built
inside/  runs in the lab as its first process; the host uses its ``frames`` and ``connection``
fetch/   downloads Debian packages and wheels
image/   builds the kernel's initial file system from them
guests/  builds Linux guests from them, for guestdbg itself
machine/ starts QEMU, and runs commands in it
"""

from guestdbg.lab.errors import CommandTimeout, LabError
from guestdbg.lab.machine.forward import Forward
from guestdbg.lab.machine.lab import Lab, prepare
from guestdbg.lab.machine.remote_command import Live, Result

__all__ = ["CommandTimeout", "Forward", "Lab", "LabError", "Live", "Result", "prepare"]
