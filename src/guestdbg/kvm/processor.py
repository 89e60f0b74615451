"""Optional interfaces: which processor the provider emulates, and how.

The host provider's processors are the machine's own. Their ID registers describe them:
``guestdbg.arm64.features.features_of``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from guestdbg.arm64.cpu_models import CpuModel

__all__ = ["SupportsCpuModel", "SupportsTier"]


@runtime_checkable
class SupportsCpuModel(Protocol):
    """A provider that was given a processor model.

    Attributes:
        cpu: the model. Its guests see the features that KVM lets them use: pointer authentication
            only if their vCPUs were initialised with it.
    """

    cpu: CpuModel


@runtime_checkable
class SupportsTier(Protocol):
    """A provider whose processor has several ways to execute a guest, with the same results."""

    @property
    def tier(self) -> str:
        """Which one it uses: "stencils", "interpreter", or "interpreter (why)"."""
