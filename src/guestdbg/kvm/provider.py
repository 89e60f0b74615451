"""Choosing a provider: the Linux kernel's KVM, or the software one."""

from __future__ import annotations

import errno
import logging
from inspect import signature
from typing import TYPE_CHECKING, Any

from guestdbg.kvm.errors import KvmError

if TYPE_CHECKING:
    from guestdbg.kvm.interface import Kvm

log = logging.getLogger("guestdbg.kvm")

PROVIDERS = ("auto", "soft", "host")


def open_kvm(provider: str = "auto", **options: Any) -> Kvm:
    """Open a provider.

    Args:
        provider: ``"soft"``, the software KVM; ``"host"``, the kernel's; ``"auto"``, the host's if
            it can run arm64 guests, otherwise soft.
        options: of the soft provider, see ``guestdbg.kvm.soft.SoftKvm``. With options ``"auto"``
            is the soft provider.

    Raises:
        KvmError: EINVAL for a provider or option that does not exist; ENODEV if the soft provider's
            processor is not compiled. From the host provider: ENOSYS on another architecture or
            operating system, ENOENT or EACCES for ``/dev/kvm``, ENOTSUP for a kernel that is too
            old; see ``guestdbg.kvm.host.HostKvm``.
    """
    if provider not in PROVIDERS:
        raise KvmError(
            errno.EINVAL, "open_kvm", f"no provider {provider!r}; there are {', '.join(PROVIDERS)}"
        )
    if provider == "host":
        return _host(options)
    if provider == "auto" and not options:
        host = _host_if_usable()
        if host is not None:
            return host
    return _soft(options)


def _host(options: dict[str, Any]) -> Kvm:
    from guestdbg.kvm.host import HostKvm

    if options:
        raise KvmError(
            errno.EINVAL,
            "open_kvm",
            f"host provider: it has no options ({', '.join(options)}): its processors are the "
            "machine's own. The soft provider (--provider soft) has them",
        )
    return HostKvm()


def _host_if_usable() -> Kvm | None:
    """The host provider, or None if it cannot be used here, for whatever reason."""
    from guestdbg.kvm import host

    if host.unusable() is not None:
        return None
    try:
        return host.HostKvm()
    except KvmError as error:
        log.info("not the host provider: %s", error)
        return None


def _soft(options: dict[str, Any]) -> Kvm:
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
        known = signature(SoftKvm).parameters
        unknown = [repr(name) for name in options if name not in known]
        text = f"no option {', '.join(unknown)}; there are {', '.join(known)}" if unknown else wrong
        raise KvmError(errno.EINVAL, "open_kvm", f"soft provider: {text}") from wrong
