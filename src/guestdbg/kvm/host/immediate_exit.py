"""``kvm_run.immediate_exit``, which kicks share with the property of that name."""

from __future__ import annotations

from guestdbg.kvm.host.run_page import IMMEDIATE_EXIT, RunPage


class ImmediateExit:
    """The flag that keeps KVM_RUN from entering the guest, and who set it."""

    __slots__ = ("_flags", "_kicked", "_wanted")

    def __init__(self, page: RunPage) -> None:
        self._flags = page.bytes
        self._kicked = False
        self._wanted = False

    def kick(self) -> bool:
        """Set it for one exit; False if the page has just been closed by another thread."""
        # In this order: see guestdbg.kvm.host.kick.
        self._kicked = True
        try:
            self._flags[IMMEDIATE_EXIT] = 1
        except ValueError:
            return False
        return True

    def taken(self) -> None:
        """KVM_RUN was interrupted: kicks have had their exit."""
        if not self._wanted:
            self._kicked = False
            self._flags[IMMEDIATE_EXIT] = 0

    @property
    def wanted(self) -> bool:
        """``Vcpu.immediate_exit``: as long as it is set, no run enters the guest."""
        return self._wanted

    @wanted.setter
    def wanted(self, value: bool) -> None:
        self._wanted = value
        if value:
            self._flags[IMMEDIATE_EXIT] = 1
            return
        self._flags[IMMEDIATE_EXIT] = 0
        if self._kicked:  # looked at after clearing: a kick in between has set the flag itself
            self._flags[IMMEDIATE_EXIT] = 1
