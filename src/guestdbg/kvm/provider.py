"""Which provider answers: the Linux kernel's KVM or the software one."""

from __future__ import annotations

import errno
from typing import Any

from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Kvm

PROVIDERS = ("auto", "soft", "host")


def open_kvm(provider: str = "auto", **options: Any) -> Kvm:
    """Open a provider.

    Args:
        provider: ``"soft"``, the software KVM; ``"host"``, the kernel's; ``"auto"``, the host's
            where there is one that can run arm64 guests, otherwise soft.
        options: of the soft provider, see ``guestdbg.kvm.soft.SoftKvm``.

    Raises:
        KvmError: EINVAL for a provider or option that does not exist, ENOSYS for the host provider
            (not there yet), ENODEV where the processor of the soft one has not been compiled.
    """
    if provider not in PROVIDERS:
        raise KvmError(
            errno.EINVAL, "open_kvm", f"no provider {provider!r}; there are {', '.join(PROVIDERS)}"
        )
    if provider == "host":
        raise KvmError(
            errno.ENOSYS,
            "open_kvm",
            "the host provider (/dev/kvm of an arm64 machine) is not part of this version; "
            "use provider='soft'",
        )
    try:
        from guestdbg.kvm.soft import SoftKvm
    except ImportError as missing:
        raise KvmError(
            errno.ENODEV,
            "open_kvm",
            f"the soft provider needs the compiled processor, which is not installed ({missing}); "
            "install guestdbg where a C compiler is at hand",
        ) from missing
    try:
        return SoftKvm(**options)
    except TypeError as wrong:
        raise KvmError(errno.EINVAL, "open_kvm", f"soft provider: {wrong}") from wrong
