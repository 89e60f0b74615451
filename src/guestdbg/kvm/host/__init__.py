"""The host provider: the Linux kernel's KVM on an arm64 machine, through ``/dev/kvm``.

Pure Python: ``fcntl.ioctl`` on descriptors, and the ``kvm_run`` page read in place. Use
``guestdbg.kvm.open_kvm("host")``.

calls             one KVM call on a descriptor, and its error
explain           what the errors of a vCPU's calls mean
available         whether this machine can run arm64 guests; opening ``/dev/kvm``
caches            making instructions that userspace wrote visible to the guest
slots             memory slots
device            device attributes, and devices in the kernel
registers         one-reg access of a vCPU
debug_requests    KVM_SET_GUEST_DEBUG of a vCPU
run_page          ``struct kvm_run``, and exits as objects
immediate_exit    ``kvm_run.immediate_exit``, which kicks and the property share
kick              the signal that gets a thread out of KVM_RUN
entry             ``run()``
vcpu, vm, kvm     the calls of the seam
"""

from typing import TYPE_CHECKING

from guestdbg.kvm.host.available import unusable
from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.kvm.host.kvm import HostKvm

__all__ = ["HostKvm", "unusable"]

# On most machines it is only asked whether the provider can be used.
__getattr__, __dir__ = lazy_names(__name__, {"guestdbg.kvm.host.kvm": ("HostKvm",)})
