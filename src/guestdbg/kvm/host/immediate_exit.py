"""``kvm_run.immediate_exit``, which kicks and ``Vcpu.immediate_exit`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.kvm.host.run_page import IMMEDIATE_EXIT

if TYPE_CHECKING:
    from guestdbg.kvm.host.run_page import RunPage


class ImmediateExit:
    """The flag that keeps KVM_RUN from entering the guest, and who set it."""

    __slots__ = ("_flags", "_kicked", "_requested")

    def __init__(self, page: RunPage) -> None:
        self._flags = page.bytes
        self._kicked = False
        self._requested = False

    def kick(self) -> bool:
        """Set it for one exit; False if another thread has just closed the page."""
        # In this order: see guestdbg.kvm.host.kick.
        self._kicked = True
        try:
            self._flags[IMMEDIATE_EXIT] = 1
        except ValueError:
            return False
        return True

    def interrupted(self) -> None:
        """KVM_RUN was interrupted: that exit is the one of all kicks so far."""
        if not self._requested:
            self._kicked = False
            self._flags[IMMEDIATE_EXIT] = 0

    @property
    def requested(self) -> bool:
        """``Vcpu.immediate_exit``: while it is set, no run enters the guest."""
        return self._requested

    @requested.setter
    def requested(self, value: bool) -> None:
        self._requested = value
        if value:
            self._flags[IMMEDIATE_EXIT] = 1
            return
        self._flags[IMMEDIATE_EXIT] = 0
        # Read after clearing the flag: a kick before that must set it again. A later kick has set
        # the flag itself.
        if self._kicked:
            self._flags[IMMEDIATE_EXIT] = 1
