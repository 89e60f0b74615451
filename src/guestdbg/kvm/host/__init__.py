"""The host provider: the Linux kernel's KVM on an arm64 machine, through ``/dev/kvm``.

Pure Python: ``fcntl.ioctl`` on descriptors, and the ``kvm_run`` page read in place. Use
``guestdbg.kvm.open_kvm("host")``.
"""

from guestdbg.kvm.host.available import unusable
from guestdbg.kvm.host.kvm import HostKvm

__all__ = ["HostKvm", "unusable"]
