"""An optional interface: where the control of a machine's vCPUs goes, recorded as they run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, Protocol, runtime_checkable

__all__ = ["ARGUMENT_WORDS", "RECORD_WORDS", "FlowKind", "FlowTrace", "SupportsFlowTrace"]

#: Calls and returns; exceptions taken to EL1 and returned from; writes of CONTEXTIDR_EL1, TTBR0_EL1
#: and SP_EL0.
FlowKind = Literal["calls", "exceptions", "contexts"]

#: 64-bit words of a record, and how many more a record of a trace with arguments has.
RECORD_WORDS = 6
ARGUMENT_WORDS = 8


class FlowTrace(Protocol):
    """A trace that is on: what ``SupportsFlowTrace.start_flow_trace`` returns.

    All of this while no vCPU runs (EBUSY). After ``close`` nothing is recorded, and ``paused`` and
    ``flush`` do nothing.

    Attributes:
        paused: nothing is recorded for now.
        error: what the sink has raised, or None. Nothing is recorded after it.
        lost: records for which there was no room. 0, unless an error of the provider.
        reached: a vCPU has come to something after ``stop``.
    """

    paused: bool

    @property
    def error(self) -> Exception | None: ...
    @property
    def lost(self) -> int: ...
    @property
    def reached(self) -> bool: ...

    def flush(self) -> None:
        """Give the sink what was recorded until now."""

    def close(self) -> None:
        """Give the sink the rest, and record nothing any more. Twice is once."""


@runtime_checkable
class SupportsFlowTrace(Protocol):
    """A machine that records calls, returns, exceptions and writes of context registers.

    Records are in the order of time, of all vCPUs together. Each is six native 64-bit words:

    - instructions that all vCPUs together had retired, its own included where it retires;
    - nanoseconds by the virtual counter, CNTVCT_EL0;
    - the address of the instruction; of an interrupt, that of the one that it comes before;
    - where execution goes on; 0 for a context register;
    - SP after a call, or before a return; ESR_EL1 of a synchronous exception or an SError; the
      value that is written to a context register;
    - kind | exception level afterwards << 8 | detail << 16 | id of the vCPU << 32. Kinds: 0 call
      (BL, BLR and their authenticated forms), 1 return (RET and its forms), 2 exception to EL1, 3
      exception return, 4 context register. Details: of an exception 0 synchronous, 1 IRQ, 2 FIQ, 3
      SError; of a context register 0 CONTEXTIDR_EL1, 1 TTBR0_EL1, 2 SP_EL0.

    With arguments eight words follow in each record: of a call X0 to X7.
    """

    def start_flow_trace(
        self,
        what: Collection[FlowKind],
        sink: Callable[[bytes], object],
        *,
        arguments: bool = False,
        start: int | None = None,
        stop: int | None = None,
    ) -> FlowTrace:
        """Record from here on, by all vCPUs that there are.

        Args:
            what: what is recorded.
            sink: is called with whole records when the provider's buffer is full, in the thread
                that runs a vCPU, whose ``run()`` goes on afterwards. It may read registers and
                memory, and must not run or change the machine.
            arguments: records have X0 to X7.
            start: only what has a time after this one.
            stop: only what has a time until this one.

        Raises:
            KvmError: EINVAL: ``what`` is empty or has something else; EBUSY: another trace is on,
                or a vCPU runs; ENOMEM.
        """
