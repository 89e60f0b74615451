"""Points that are for some tasks of the guest's operating system only.

What a task is, and how it is recognised, only those know who know that system: a layer above gives
points a ``TaskRestriction``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu
    from guestdbg.kvm.table_filters import Tables

__all__ = ["HitContext", "TaskRestriction"]


class HitContext(Protocol):
    """The vCPU that an access or arrival is on.

    Attributes:
        vcpu: the KVM vCPU.
    """

    @property
    def vcpu(self) -> Vcpu: ...


class TaskRestriction(Protocol):
    """The tasks that a point is for."""

    @property
    def tables(self) -> Tables | None:
        """The translation tables (``kvm.table_of``) without which the point cannot be hit.

        Where the vCPUs have table filters, its debug registers match with these only. None: that
        does not depend on tables; each hit is compared by ``matches``.
        """

    @property
    def by_tables_alone(self) -> bool:
        """Whether every hit with one of ``tables`` is one of the tasks."""

    @property
    def pending(self) -> bool:
        """Whether there is none of the tasks now."""

    def matches(self, context: HitContext) -> bool:
        """Whether a hit on this vCPU, now, is one of the tasks. It is asked at every hit."""

    def translate(self, address: int) -> int | None:
        """The guest-physical address as the tasks see it. Raises AddressError where they see none.

        None: they see what every vCPU does.
        """

    def describe(self) -> str:
        """The tasks as one names them: ``"process 123 (bash)"``."""

    def release(self) -> None:
        """The point has been deleted."""
