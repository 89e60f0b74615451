"""The time of day that a board has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from guestdbg.kvm import SupportsCounterFrequency
from guestdbg.kvm.regs import sys_reg
from guestdbg.machine.errors import MachineError

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu
    from guestdbg.machine.inputs import InputPort

__all__ = ["RTC_START", "BoardClock", "RtcStart"]

#: The argument ``rtc`` of a board.
RtcStart: TypeAlias = int | Literal["auto", "host"]

#: 2025-01-01 00:00 UTC: where the clock of a board starts whose time is the guest's own.
RTC_START = 1_735_689_600

_CNTVCT = sys_reg("CNTVCT_EL0")
_MOST = 0xFFFF_FFFF  # of the real-time clock's counter


class BoardClock:
    """Seconds since 1970-01-01 00:00 UTC.

    Where the provider says how fast its virtual counter counts, the time since the start is that of
    the guest, so that every run has the same. Elsewhere it is the host's: an input of the board.

    Args:
        start: the time at which the board starts; ``"host"``: the host's time then; ``"auto"``:
            ``RTC_START`` if the time is the guest's, otherwise ``"host"``.
        vcpu: gives the vCPU that runs.

    Attributes:
        start: the time at which the board starts; None: it is the host's.
        base: what is added to the time that passes, of the guest or of the host. None: not known
            yet.

    Raises:
        MachineError: no such ``start``.
    """

    def __init__(self, start: RtcStart, vcpu: Callable[[], Vcpu], port: InputPort) -> None:
        if start not in ("auto", "host") and (
            not isinstance(start, int) or isinstance(start, bool) or not 0 <= start <= _MOST
        ):
            raise MachineError(
                f"rtc={start!r}: it must be 'auto', 'host' or seconds since 1970, 0 to {_MOST}"
            )
        self._vcpu = vcpu
        self._port = port
        self._of_guest = isinstance(vcpu(), SupportsCounterFrequency)
        if start == "auto":
            start = RTC_START if self._of_guest else "host"
        self.start = start if isinstance(start, int) else None
        self.base = self.start if self._of_guest else None

    def __call__(self) -> int:
        passed = self._passed()
        if self.base is None:
            start = self._sample() if self.start is None else self.start
            self.base = start - passed
        return self.base + passed

    def _passed(self) -> int:
        vcpu = self._vcpu()
        if isinstance(vcpu, SupportsCounterFrequency):
            return vcpu.get_one_reg(_CNTVCT) // vcpu.counter_frequency
        return self._sample()

    def _sample(self) -> int:
        data = self._port.sample(lambda: int(time.time()).to_bytes(8, "little"))
        return int.from_bytes(data, "little")
