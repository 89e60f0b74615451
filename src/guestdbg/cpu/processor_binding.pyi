"""The processor as a Python object. The caller acts as its EL2, the hypervisor."""

from collections.abc import Sequence
from typing import Final

from guestdbg.cpu.hit_program_objects import HitPrograms
from guestdbg.cpu.memory import PhysicalMemory
from guestdbg.cpu.state import ProcessorState

EXIT_EL2_: Final[int]  # 1: an exception to EL2; esr_el2, far_el2, hpfar_el2 are set
EXIT_LIMIT_: Final[int]  # 2: max_instructions have retired
EXIT_KICK_: Final[int]  # 3: kick() was called
EXIT_TIMER_: Final[int]  # 4: a timer's output changed: see vtimer_output, ptimer_output
EXIT_STUCK_: Final[int]  # 5: an endless loop of exceptions: no instruction retires between them
EXIT_HLT_: Final[int]  # 7: the HLT of set_hlt_exit(), which has not retired
EXIT_HIT_: Final[int]  # 6: a hit program stopped the run: see HitPrograms.hit()

class Processor:
    """One Armv8-A processing element at EL0 and EL1. The caller acts as EL2."""

    def __init__(
        self,
        memory: PhysicalMemory,
        *,
        mpidr: int = 0x80000000,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        identification: dict[int, int] | None = None,
        clock: str = "virtual",
    ) -> None:
        """identification: values of identification registers, by encoding: see identification.py.

        Without them it is an Armv8.0-A processor with CRC32.
        """
    pc: int
    sp_el0: int
    sp_el1: int
    pstate: int  # in SPSR layout: NZCV, SS, IL, DAIF, M
    pstate_ss: int  # PSTATE.SS alone, 0 or 1
    fpcr: int
    fpsr: int
    def get_x(self, n: int) -> int: ...  # 0..30
    def set_x(self, n: int, value: int) -> None: ...
    def get_v(self, n: int) -> int: ...  # 128 bits
    def set_v(self, n: int, value: int) -> None: ...
    def get_sysreg(self, enc: int) -> int: ...  # KeyError: no such register
    def set_sysreg(self, enc: int, value: int) -> None: ...
    def sysregs(self) -> list[int]: ...  # every encoding that get_sysreg knows
    # EL2's registers
    hcr_el2: int
    mdcr_el2: int
    cptr_el2: int
    cnthctl_el2: int
    cntvoff_el2: int
    esr_el2: int
    far_el2: int
    hpfar_el2: int
    mdscr_el1: int
    # The hardware debug registers, all at once (up to the implemented number; longer is ignored,
    # shorter a ValueError)
    def load_debug(
        self, bcr: Sequence[int], bvr: Sequence[int], wcr: Sequence[int], wvr: Sequence[int]
    ) -> None: ...
    def save_debug(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]: ...
    @property
    def breakpoints(self) -> int: ...
    @property
    def watchpoints(self) -> int: ...
    irq: bool  # physical lines; virtual interrupts are HCR_EL2.VI, VF, VSE
    fiq: bool
    @property
    def vtimer_output(self) -> bool: ...
    @property
    def ptimer_output(self) -> bool: ...
    @property
    def counter(self) -> int: ...  # CNTPCT_EL0, 62.5 MHz
    def advance_counter(self, ticks: int) -> None: ...  # virtual time jumps forward
    def next_timer(self) -> int | None: ...  # ticks until an enabled, unmasked timer is met
    @property
    def instructions(self) -> int: ...  # retired so far
    def run(self, limit: int | None = None) -> int:
        """Run until something ends it; limit: the value of `instructions` at which to stop.

        Returns EXIT_*. The GIL is released for long runs. Clears the exclusive monitor (an
        exception return does), unless the last run ended with EXIT_LIMIT or EXIT_KICK.
        """
    def skip_instruction(self) -> None: ...  # emulated: PC += 4, PSTATE.SS = 0, retired
    def set_hlt_exit(self, immediate: int | None) -> None: ...  # HLT at EL1: EXIT_HLT
    def set_programs(self, programs: HitPrograms | None) -> None: ...
    @property
    def programs(self) -> HitPrograms | None: ...
    def kick(self) -> None: ...  # from any thread; the next or current run() returns EXIT_KICK
    def take_exception(self, esr: int, far: int | None = None) -> None:
        """Take a synchronous exception to EL1 at the current PC, as a hypervisor injects it."""
    def forget_exceptions(self) -> None: ...
    def first_exception(self) -> tuple[int, int, int, int | None, int, int] | None:
        """The first of the synchronous exceptions to EL1 since the last exception return.

        (ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1 or None, the address of its vector, how many there
        were); None: there was none.
        """
    def take_serror(self, esr: int) -> None: ...
    def reset(self) -> None: ...
    def save_state(self) -> ProcessorState:
        """Everything that the guest, its EL2 or time can observe. The TLBs are empty afterwards."""
    def restore_state(self, state: ProcessorState, ticks: int = 0) -> None:
        """Restore the state of save_state(); ValueError: it is another processor's.

        ticks: how far the host's clock has advanced since, with clock="host".
        """
    def translate(self, va: int, write: bool = False, el: int = 1) -> int | None:
        """Physical address in the current stage 1 regime; None: a fault."""
    def statistics(self) -> dict[str, int]: ...  # blocks decoded, dropped, …
    def decodes(self, encodings: object) -> bytes: ...
    """For each 32-bit encoding: 0 unallocated, 1 the following one is next, 2 perhaps another."""
    @property
    def has_undefined(self) -> bool: ...  # undefined() has something to return
    def undefined(self) -> dict[int, int]: ...
    """Encodings that the decode table did not know since the last call: {encoding: first PC}."""
