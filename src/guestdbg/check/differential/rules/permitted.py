"""Where the architecture permits both, and both KVMs are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.arm64.loadstore import memory_operand
from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.reserved import (
    breakpoint_is_reserved,
    link_is_reserved,
    watchpoint_is_reserved,
)
from guestdbg.check.differential.rules.base import (
    BREAKPOINTS,
    DATA_ABORTS,
    WATCHPOINTS,
    has_branch_type,
    loaded_in_part,
    only,
    rule,
)

if TYPE_CHECKING:
    from guestdbg.check.differential.difference_context import DifferenceContext


@rule(
    "permitted-far",
    "both",
    "FAR of a watchpoint exception may be any address from the lowest one accessed to the highest "
    "watched one accessed (DDI 0487, D2.10.5); for DC ZVA, any address of the block.",
)
def _permitted_far(s: DifferenceContext) -> bool:
    a, b = s.exits
    x, y = s.taken
    if x and y and x[:3] + x[4:] == y[:3] + y[4:] and s.taken_class(0) in WATCHPOINTS:
        # The guest's own watchpoint. Its registers may have changed since, so the distance of the
        # two addresses is compared with the size of the access.
        operand = memory_operand(s.word_at(x[1]) or 0)
        return abs(x[3] - y[3]) < (operand.total if operand else 64)
    if not (only(s, "exit", "memory") and a[0] == b[0] == "debug" and a[1:3] == b[1:3]):
        return False
    access = s.access_at(0, s.registers[0]["pc"])
    return (
        s.debug_class(0) == EC.WATCHPT_LOW
        and a[3] != b[3]
        and access is not None
        and all(access.first <= int(exit_[3]) <= access.last for exit_ in (a, b))
    )


@rule(
    "part-of-a-store",
    "both",
    "A store of several accesses (a pair, a structure, DC ZVA, an unaligned store across a page) "
    "that is stopped by a watchpoint or an abort may have made some of them (DDI 0487, D1.3.3: the "
    "locations are UNKNOWN). QEMU makes those that come first; the software KVM makes none.",
)
def _part_of_a_store(s: DifferenceContext) -> bool:
    if not only(s, "memory", "page") or s.taken != (None, None):
        return False
    for address in s.stopped_at:
        access = s.access_at(0, address)
        if access is not None and (access.count > 1 or not access.aligned):
            return True
    return False


@rule(
    "part-of-a-load",
    "both",
    "A load of several registers that is stopped by a watchpoint or an abort may have loaded some "
    "of them (DDI 0487, D1.3.3: they are UNKNOWN). QEMU loads those that come first.",
)
def _part_of_a_load(s: DifferenceContext) -> bool:
    if s.taken != (None, None):
        return False
    loads = loaded_in_part(s)
    return bool(loads) and only(s, *loads)


@rule(
    "store-exclusive-without-the-monitor",
    "both",
    "Whether a store-exclusive that would abort does so before or after the check of the local "
    "monitor is IMPLEMENTATION DEFINED (DDI 0487, B2.9; AArch64.ExclusiveMonitorsPass in the "
    "pseudocode). QEMU checks the monitor first.",
)
def _without_the_monitor(s: DifferenceContext) -> bool:
    entry = s.taken[0]
    if entry is None or s.taken_class(0) not in DATA_ABORTS:
        return False
    operand = memory_operand(s.word_at(entry[1]) or 0)
    return operand is not None and operand.exclusive and operand.conditional


_TRAPPED_BY_TVM = frozenset(
    asm.msr(f"{name}_EL1", 0)
    for name in (
        *("SCTLR", "TTBR0", "TTBR1", "TCR", "ESR", "FAR", "AFSR0", "AFSR1", "MAIR", "AMAIR"),
        "CONTEXTIDR",
    )
)


_ISV = 1 << 24


def _stepped(s: DifferenceContext) -> tuple[int, int, int] | None:
    """The stepped instruction and both syndromes, if both took the same step; else None."""
    if s.debug_class(0) == s.debug_class(1) == EC.SOFTSTP_LOW and only(s, "exit"):
        if s.exits[0][2:] != s.exits[1][2:]:
            return None
        syndromes = int(s.exits[0][1]), int(s.exits[1][1])
        pc = s.registers[0]["pc"]
    elif s.taken[0] and s.taken[1] and s.taken[0][1:] == s.taken[1][1:]:
        if s.taken_class(0) not in (EC.SOFTSTP_LOW, EC.SOFTSTP_CUR):
            return None
        syndromes, pc = (s.taken[0][0], s.taken[1][0]), s.taken[0][1]
    else:
        return None
    return s.word_at(pc - 4) or 0, *syndromes


@rule(
    "own-step-of-what-was-trapped",
    "both",
    "ISS.ISV of a software step is 0 if the stepped instruction was trapped and emulated. Linux "
    "traps the first access to a debug register after every entry. A guest that steps itself runs "
    "on from step to step, but on a real machine there may be entries in between that are not "
    "visible, after stage 2 faults and interrupts.",
)
def _own_step_of_a_trap(s: DifferenceContext) -> bool:
    stepped = _stepped(s)
    if stepped is None or s.taken == (None, None):
        return False
    # MSR or MRS of a debug register: op0 is 2.
    word, soft, real = stepped
    return word & 0xFFD80000 == 0xD5100000 and real == soft ^ _ISV == soft & ~_ISV


_EOI = asm.msr("ICC_EOIR1_EL1", 0)


@rule(
    "step-of-an-eoi",
    "both",
    "The end of a level-sensitive interrupt is a maintenance interrupt for KVM (ICH_LR_EL2.EOI). "
    "If it is taken before the exception of the step, the step's ISS.ISV is 0. The order is not "
    "defined (DDI 0487, D1.3.1: asynchronous exceptions); QEMU takes the step first.",
)
def _step_of_an_eoi(s: DifferenceContext) -> bool:
    stepped = _stepped(s)
    if stepped is None or not s.program.interrupts:
        return False
    word, soft, real = stepped
    return word & ~0x1F == _EOI and real == soft ^ _ISV == soft | _ISV


_IRQ_VECTORS, _SYNCHRONOUS = (0x280, 0x480), (0x200, 0x400)


@rule(
    "interrupt-or-debug-exception",
    "both",
    "With an interrupt and a debug exception of the guest's own at one instruction, either may "
    "come first: the order of asynchronous exceptions is not defined (DDI 0487, D1.3.1).",
)
def _interrupt_or_debug_exception(s: DifferenceContext) -> bool:
    if not s.program.interrupts:
        return False
    for n, (x, y) in enumerate((s.taken, s.taken[::-1])):
        if x and y and x[4] in _IRQ_VECTORS and y[4] in _SYNCHRONOUS:
            steps_or_breaks = (EC.SOFTSTP_LOW, EC.SOFTSTP_CUR, *BREAKPOINTS)
            return x[1] == y[1] and s.taken_class(1 - n) in steps_or_breaks
    return False


@rule(
    "interrupt-or-pending-step",
    "both",
    "The step of an instruction that KVM emulates is pending at the next entry. If the instruction "
    "has made an interrupt pending, either comes first (DDI 0487, D1.3.1): QEMU takes the "
    "interrupt, and then the step at the vector.",
)
def _interrupt_or_pending_step(s: DifferenceContext) -> bool:
    if not s.program.interrupts or s.exits[0] != s.exits[1]:
        return False
    here, there = (registers["pc"] for registers in s.registers)
    if s.debug_class(0) != EC.SOFTSTP_LOW or there - layout.VECTORS not in _IRQ_VECTORS:
        return False
    return s.registers[1]["elr_el1"] == here and not int(s.exits[0][1]) & _ISV


@rule(
    "processor-with-s2fwb",
    "both",
    "Linux traps writes to SCTLR_EL1 and similar registers until the guest's caches are on "
    "(HCR_EL2.TVM), and ISS.ISV of the step of such a write is 0. On a processor with FEAT_S2FWB "
    "(ID_AA64MMFR2_EL1.FWB) Linux does not trap them.",
)
def _no_trap_of_memory_controls(s: DifferenceContext) -> bool:
    stepped = _stepped(s)
    if stepped is None:
        return False
    word, soft, real = stepped
    return word & ~31 in _TRAPPED_BY_TVM and real == soft ^ _ISV == soft | _ISV


@rule(
    "step-while-mdscr-is-written",
    "both",
    "A write to MDSCR_EL1.SS, KDE or OSLAR_EL1 need not take effect before the next context "
    "synchronization event (DDI 0487, D2.12, D24.1.2): the writing instruction itself may or may "
    "not be stepped.",
)
def _mdscr_is_written(s: DifferenceContext) -> bool:
    steps = [
        entry[1] if entry and s.taken_class(side) in (EC.SOFTSTP_LOW, EC.SOFTSTP_CUR) else None
        for side, entry in enumerate(s.taken)
    ]
    if steps[0] == steps[1]:
        return False  # both took it, so this is not the difference
    writes = asm.msr("MDSCR_EL1", 0), asm.msr("OSLAR_EL1", 0)
    return any(at is not None and (s.word_at(at - 4) or 0) & ~31 in writes for at in steps)


@rule(
    "reserved-encoding",
    "both",
    "A control register with a reserved value, or linked to a breakpoint that is not a linked "
    "context match, has a CONSTRAINED UNPREDICTABLE effect (DDI 0487, K1.2 and the descriptions of "
    "the registers).",
)
def _reserved_encoding(s: DifferenceContext) -> bool:
    host = {s.debug_class(0), s.debug_class(1)}
    own = {s.taken_class(0), s.taken_class(1)}
    if s.uses_hardware and s.debug is not None and host & {EC.BREAKPT_LOW, EC.WATCHPT_LOW}:
        b = {n: (c, v) for n, c, v in s.debug.breakpoints}
        w = {n: (c, v) for n, c, v in s.debug.watchpoints}
        if _any_reserved(b, w, host):
            return True
    if own & {*BREAKPOINTS, *WATCHPOINTS} or (not s.uses_hardware and len(host) == 2):
        return _any_reserved(*s.own_registers(), own | host)
    return False


def _any_reserved(
    breakpoints: dict[int, tuple[int, int]],
    watchpoints: dict[int, tuple[int, int]],
    classes: set[int | None] | set[int],
) -> bool:
    controls = {n: c for n, (c, _) in breakpoints.items()}
    if classes & {*BREAKPOINTS} and any(
        breakpoint_is_reserved(c, v, n >= 4) or link_is_reserved(c, 20, controls)
        for n, (c, v) in breakpoints.items()
        if c >> 20 & 15 != 3
    ):
        return True
    return bool(classes & {*WATCHPOINTS}) and any(
        watchpoint_is_reserved(c, v) or link_is_reserved(c, 20, controls)
        for n, (c, v) in watchpoints.items()
        if n < 4
    )


@rule(
    "processor-with-bti",
    "both",
    "A processor with FEAT_BTI (ID_AA64PFR1_EL1.BT) records in PSTATE.BTYPE, SPSR_EL1[11:10], that "
    "an indirect branch was just executed. On others the bits are RES0.",
)
def _branch_type(s: DifferenceContext) -> bool:
    values = [(a, b) for name, a, b in s.difference.fields if name not in ("memory", "page log")]
    x, y = s.taken
    if x and y:
        if x[:2] + x[3:] != y[:2] + y[3:]:
            return False
        values.append((x[2], y[2]))
    return bool(values) and all(has_branch_type(a, b) for a, b in values)


@rule(
    "processor-with-aarch32",
    "both",
    "A processor whose EL0 can be AArch32 (ID_AA64PFR0_EL1.EL0 is 2) returns to AArch32 if "
    "SPSR_EL1.M[4] is 1. On others that is an illegal return, which stays at EL1 with PSTATE.IL "
    "set.",
)
def _aarch32(s: DifferenceContext) -> bool:
    x, y = s.taken
    if not x or not y or s.taken_class(0) != EC.ILL:
        return False
    return bool(x[2] & 1 << 20 and y[2] & 1 << 4 and not x[2] & 1 << 4)
