"""The processor as a Python object. The caller acts as its EL2, the hypervisor."""

from collections.abc import Sequence
from typing import Final

from guestdbg.cpu.flow_trace import FlowBuffer
from guestdbg.cpu.hit_program_objects import HitPrograms
from guestdbg.cpu.instruction_trace import InstructionBuffer
from guestdbg.cpu.memory import PhysicalMemory
from guestdbg.cpu.state import ProcessorState

EXIT_EL2_: Final[int]  # 1: an exception to EL2; esr_el2, far_el2, hpfar_el2 are set
EXIT_LIMIT_: Final[int]  # 2: max_instructions have retired
EXIT_KICK_: Final[int]  # 3: kick() was called
EXIT_TIMER_: Final[int]  # 4: a timer's output changed: see vtimer_output, ptimer_output
EXIT_STUCK_: Final[int]  # 5: an endless loop of exceptions: no instruction retires between them
EXIT_HLT_: Final[int]  # 7: the HLT of set_hlt_exit(), which has not retired
EXIT_MAINTENANCE_: Final[int]  # 8: a maintenance interrupt: ICH_HCR_EL2.En and ICH_MISR_EL2
EXIT_TRACE_: Final[int]  # 9: the buffer of a trace is full
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
    keeps_monitor: bool  # over debug exceptions that EL2 takes
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
        self,
        bcr: Sequence[int],
        bvr: Sequence[int],
        wcr: Sequence[int],
        wvr: Sequence[int],
        *,
        break_tables: Sequence[Sequence[int] | None] = (),
        watch_tables: Sequence[Sequence[int] | None] = (),
    ) -> None:
        """break_tables, watch_tables: by register, the tables (TTBR0_EL1 without ASID and CnP, at
        most 64) that it matches with; None, or no value: any."""
    def save_debug(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]: ...
    @property
    def breakpoints(self) -> int: ...
    @property
    def watchpoints(self) -> int: ...
    def set_gic(self, version: int, list_registers: int = 4) -> None:
        """The processor gets a GIC's virtual CPU interface, in its reset state.

        version: 0, none; 3, ICC_* registers at EL1; 2, the GICV frame (set_gicv). EL2 accesses
        ICH_* by get_sysreg() and set_sysreg(). Raises ValueError for another version, and where
        list_registers is not 1 to 16. ID_AA64PFR0_EL1.GIC does not change.
        """
    def set_gicv(self, base: int | None) -> None:
        """Put the GICV frame of a GICv2, 8 KiB, at this IPA; None: there is none.

        It has priority over memory there. Raises ValueError for an address that is not a multiple
        of 4 KiB below 2**48 - 8 KiB, or without a GICv2.
        """
    @property
    def gic_version(self) -> int: ...  # 0, 2, 3
    @property
    def list_registers(self) -> int: ...  # implemented; 0 without a GIC
    def load_list_registers(self, lrs: Sequence[int]) -> None:
        """Set ICH_LRn_EL2; those for which there is no value become 0.

        Raises ValueError for more values than there are list registers, OverflowError for one that
        does not fit into 64 bits; then nothing changes.
        """
    def save_list_registers(self) -> tuple[int, ...]: ...  # all that are implemented
    @property
    def virtual_irq(self) -> bool: ...  # signalled by the virtual CPU interface, masked or not
    @property
    def virtual_fiq(self) -> bool: ...
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
        exception return does), unless the last run ended with EXIT_LIMIT, EXIT_KICK or EXIT_TRACE.
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
    def parse_state(self, data: bytes) -> ProcessorState: ...  # of serialize(); ValueError
    def restore_state(self, state: ProcessorState, ticks: int = 0) -> None:
        """Restore the state of save_state(); ValueError: of a processor unlike this.

        ticks: how far the host's clock has advanced since, with clock="host".
        """
    def start_coverage(self, form: int) -> None:
        """Note from here on what is executed; forget what was. ValueError: not a form.

        form: 1 whether instructions were executed, 2 how often, 3 also where each branch went.
        """
    def start_coverage_map(self, counters: object) -> None:
        """Count from here on where branches go, in a writable buffer of 1 to 2**32 bytes.

        An edge from a branch to the instruction that is executed after it has the counter
        (h(source | EL, 1) ^ h(target, 0)) * size >> 32, where h(a, b) is the upper half of
        m ^ m >> 29, and m = (a ^ b * 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 mod 2**64.
        255 is followed by 1. ValueError: the size; TypeError, BufferError: it is not writable.
        """
    def stop_coverage(self) -> None: ...  # and forget what was noted
    covering: bool  # it is noted now; ValueError: start_coverage() was not called
    def coverage(self) -> tuple[bytes, bytes, bool]:
        """(blocks, edges, complete): what was noted, in native 64-bit words, three each.

        A block is pc | EL | branch << 1, instructions, how often they were executed one after the
        other; branch: the last one is a branch. Blocks overlap: the count of an instruction is the
        sum over its blocks. An edge is the branch's address | EL, target, count; it may occur more
        than once. Not complete: there was no room for some of them.
        """
    def start_flow(self, buffer: FlowBuffer, number: int) -> None:
        """Record from here on where control goes. number: of this processor in the records."""
    def stop_flow(self) -> None: ...  # record nothing any more
    recording_flow: bool  # it is recorded now; ValueError: start_flow() was not called
    def context_written(self, detail: int, value: int) -> None:
        """EL2 is about to write a context register for the instruction at the PC.

        detail: 0 CONTEXTIDR_EL1, 1 TTBR0_EL1.
        """
    def start_instruction_log(self, buffer: InstructionBuffer, number: int) -> None:
        """Record from here on what each instruction does. number: of this processor in it."""
    def stop_instruction_log(self) -> None: ...  # record nothing any more
    recording_instructions: bool  # ValueError: start_instruction_log() was not called
    def translate(self, va: int, write: bool = False, el: int = 1) -> int | None:
        """Physical address in the current stage 1 regime; None: a fault."""
    def tier_statistics(self) -> dict[str, int]: ...
    def machine_code(self) -> tuple[int, bytes]: ...
    def statistics(self) -> dict[str, int]: ...  # blocks decoded, dropped, …
    def decodes(self, encodings: object) -> bytes: ...
    """For each 32-bit encoding: 0 unallocated, 1 the following one is next, 2 perhaps another."""
    @property
    def has_undefined(self) -> bool: ...  # undefined() has something to return
    def undefined(self) -> dict[int, int]: ...
    """Encodings that the decode table did not know since the last call: {encoding: first PC}."""
