"""What came of one input."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestdbg.arm64.esr import EC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guestdbg.debugger import Stop

__all__ = ["Kind", "Outcome", "signal_of_exception"]

Kind = Literal["end", "crash", "hang"]

#: By exception class; what has none is a SIGSEGV.
_SIGNALS: Mapping[int, signal.Signals] = {
    EC.UNKNOWN: signal.SIGILL,
    EC.ILL: signal.SIGILL,
    EC.FP_EXC64: signal.SIGFPE,
    EC.PC_ALIGN: signal.SIGBUS,
    EC.SP_ALIGN: signal.SIGBUS,
    EC.SERROR: signal.SIGBUS,
    EC.BREAKPT_CUR: signal.SIGTRAP,
    EC.SOFTSTP_CUR: signal.SIGTRAP,
    EC.WATCHPT_CUR: signal.SIGTRAP,
    EC.BRK64: signal.SIGTRAP,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input.

    Attributes:
        kind: ``"end"``: the guest came to the end of its function, or powered off; ``"crash"``;
            ``"hang"``: it executed as many instructions as it may, or waits for ever.
        detail: in words.
        signal: the signal of which a process of the host would have died, by which AFL++ names a
            crash: of an exception SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGTRAP; of a point SIGTRAP;
            of a panic or an exit status SIGABRT; of a hang SIGXCPU. 0: it ended.
        stop: how the run ended. None: the provider could not go on. Its hits refer to the guest,
            which has another state after the next input.
    """

    kind: Kind
    detail: str
    signal: int
    stop: Stop | None = None

    def __str__(self) -> str:
        named = f" ({signal.Signals(self.signal).name})" if self.signal else ""
        return f"{self.kind}{named}: {self.detail}"


def signal_of_exception(esr: int) -> int:
    """The signal for a synchronous exception, by its ESR_EL1."""
    return int(_SIGNALS.get(esr >> 26 & 0x3F, signal.SIGSEGV))
