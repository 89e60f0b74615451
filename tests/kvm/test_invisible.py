"""Debugging a guest from outside leaves no trace in it.

Random programs, run undisturbed, stepped all through, run in pieces, and run under breakpoints and
watchpoints that are stepped off: every register that migration sees, the memory, the accesses that
userspace answered and the count of instructions must come out the same.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.kvm import Exit, ExitDebug, ExitIntr, ExitMmio, GuestDebug
from guestdbg.kvm.regs import core_reg, name_of

from .support import (
    BREAK_ANY,
    DATA,
    ENABLE,
    NOWHERE,
    PSTATE_SS,
    RAM,
    STEP,
    USE_HW,
    VECTORS,
    WATCH_BOTH,
    Guest,
)

#: A store to here ends a program.
MARK = NOWHERE + 0x100

# x0 to x15 are the program's to compute with; x20 points at data, x21 at a device. x26 to x28 are
# for the debug registers, bits that the hardware keeps: others are kept as long as the registers
# have not been in the hardware, and a host that debugs brings them there, as Linux does too.
registers = st.integers(0, 15)
debug_registers = st.sampled_from(
    [f"DBG{kind}{n}_EL1" for kind in ("BVR", "BCR", "WVR", "WCR") for n in range(4)]
    + ["MDCCINT_EL1", "OSLSR_EL1", "DBGPRCR_EL1", "MDSCR_EL1"]
)

instructions = st.one_of(
    st.builds(asm.add, registers, registers, st.integers(0, 4095)),
    st.builds(
        lambda name, rt, offset: asm.access(name, rt, 20, offset * 8),
        st.sampled_from(["str", "ldr", "strb", "ldrh", "ldrsw"]),
        registers,
        st.integers(0, 7),
    ),
    st.builds(
        lambda name, rt, offset: asm.access(name, rt, 21, offset * 8),
        st.sampled_from(["strw", "ldrw", "ldrsb", "strh"]),
        registers,
        st.integers(0, 7),
    ),
    st.builds(lambda rt: asm.stp(rt, rt ^ 1, 20), registers),
    st.builds(asm.mrs, registers, debug_registers),
    st.builds(
        asm.msr,
        st.sampled_from([f"DBG{kind}{n}_EL1" for kind in ("BVR", "WVR") for n in range(4)]),
        st.sampled_from([20, 21, 28]),
    ),
    # Enabled or not: while MDSCR_EL1.MDE is clear they do nothing.
    st.builds(
        asm.msr, st.sampled_from(["DBGBCR1_EL1", "DBGWCR2_EL1"]), st.sampled_from([26, 27, 31])
    ),
    # Trapped until the caches are on, and always.
    st.builds(asm.msr, st.sampled_from(["FAR_EL1", "CONTEXTIDR_EL1", "AFSR0_EL1"]), registers),
    st.builds(asm.mrs, registers, st.sampled_from(["ID_AA64DFR0_EL1", "ACTLR_EL1", "FAR_EL1"])),
    st.builds(lambda rt: asm.mrs(rt, "CNTVCT_EL0"), registers),
    st.sampled_from(
        [
            asm.msr("OSLAR_EL1", 22),  # lock
            asm.msr("OSLAR_EL1", 31),  # unlock
            asm.svc(3),
            asm.hvc(),
            asm.smc(),
            asm.WFE,
            asm.ISB,
            asm.NOP,
            asm.mrs(23, "PMCR_EL0"),  # UNDEFINED, by a trap
            0x00000000,  # UNDEFINED
        ]
    ),
)


@dataclass
class Run:
    """One program in one machine, driven as some userspace would."""

    program: list[int]
    accesses: list[ExitMmio] = field(default_factory=list)
    stops: int = 0

    def __post_init__(self) -> None:
        guest = self.guest = Guest(*self.program, asm.b(0))
        # Exceptions: ERET returns to after an SVC; an UNDEFINED instruction is skipped.
        guest.place(
            VECTORS + 0x200,
            asm.mrs(24, "ELR_EL1"),
            asm.mrs(25, "ESR_EL1"),
            0xD35AFF39,  # lsr x25, x25, #26
            0xB5000059,  # cbnz x25, +8
            asm.add(24, 24, 4),
            asm.msr("ELR_EL1", 24),
            asm.ERET,
        )
        guest.set_reg("VBAR_EL1", VECTORS)
        guest.set_x(20, DATA)
        guest.set_x(21, NOWHERE)
        guest.set_x(22, 1)
        guest.set_x(26, 0x1E7)
        guest.set_x(27, 0x21E6)
        guest.set_x(28, 0xFFFF_0000_0000_1004)
        for n in range(16):
            guest.set_x(n, 0x0101010101010101 * n)
        self.end = RAM + 4 * len(self.program)

    def go(self, debug: GuestDebug, pieces: int) -> None:
        step = GuestDebug(STEP)
        vcpu = self.guest.vcpu
        vcpu.set_guest_debug(debug)
        for _ in range(20_000):
            # The last word branches to itself: what counts is the state on the way there.
            if self.guest.pc == self.end and vcpu.mmio is None:
                break
            vcpu.max_instructions = vcpu.instructions + pieces
            exit_: Exit = vcpu.run()
            if isinstance(exit_, ExitMmio):
                if exit_.phys_addr == MARK:
                    break
                self.accesses.append(exit_)
                if not exit_.is_write:
                    vcpu.complete_mmio(bytes(range(0x80, 0x80 + exit_.len)))
            elif isinstance(exit_, ExitDebug):
                self.stops += 1
                if debug.control != STEP:
                    vcpu.set_guest_debug(debug if exit_.ec == 0x32 else step)
            else:
                assert isinstance(exit_, ExitIntr), exit_
        else:
            pytest.fail("the program does not end")

    def outcome(self) -> dict[str, object]:
        vcpu = self.guest.vcpu
        vcpu.set_guest_debug(GuestDebug(0))
        state: dict[str, object] = {
            name_of(reg_id): vcpu.get_one_reg(reg_id) for reg_id in vcpu.get_reg_list()
        }
        # Hardware shows it too: an exception that an instruction raises while it is stepped saves
        # PSTATE.SS as it is, set.
        state["spsr[0]"] = vcpu.get_one_reg(core_reg("spsr[0]")) & ~PSTATE_SS
        state["memory"] = bytes(self.guest.memory)
        state["accesses"] = self.accesses
        state["instructions"] = vcpu.instructions
        return state


@pytest.mark.usefixtures("linux")
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(instructions, min_size=1, max_size=40),
    st.lists(st.integers(0, 39), min_size=1, max_size=6),
    st.integers(1, 9),
)
def test_debugging_from_outside_leaves_no_trace(
    program: list[int], breaks: list[int], pieces: int
) -> None:
    plain = Run(program)
    # One instruction at a time, or the run would go round at the end.
    plain.go(GuestDebug(0), 1)
    expected = plain.outcome()
    armed = GuestDebug(
        USE_HW,
        (BREAK_ANY,) * len(breaks),
        tuple(RAM + 4 * n for n in breaks),
        (WATCH_BOTH | 6 << 24,) * 2,
        (DATA, NOWHERE),
    )
    for debug, size in (
        (GuestDebug(STEP), 10_000),
        (armed, 1),
        (GuestDebug(ENABLE), 1),
    ):
        run = Run(program)
        run.go(debug, size)
        assert run.outcome() == expected
        if debug.control == STEP:
            assert run.stops >= len(program)
    marked = [*program, asm.str_(30, 21, MARK - NOWHERE)]
    outcomes = []
    for debug, size in ((armed, 10_000), (GuestDebug(0), 10_000), (GuestDebug(0), pieces)):
        run = Run(marked)
        run.go(debug, size)
        outcomes.append(run.outcome())
    assert outcomes[0] == outcomes[1] == outcomes[2]
