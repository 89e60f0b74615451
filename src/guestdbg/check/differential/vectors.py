"""The guest's exception vectors: they log the exception and return.

They use x24 to x29: x25 counts down the exceptions that may still be taken, x26 points into the
log. What happens after one of the guest's own debug exceptions is one of ``POLICIES``, chosen for
each program.
"""

from __future__ import annotations

from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout

#: After a breakpoint or watchpoint exception: return after the instruction ("skip"), clear the
#: enables in MDSCR_EL1 ("off"), set PSTATE.D in SPSR_EL1 ("mask"), or single-step once with MDE
#: clear ("step").
POLICIES = ("skip", "off", "mask", "step")
#: After a software step exception: no more steps, or the next step.
STEP_POLICIES = ("off", "on")

#: The number of exceptions after which the program ends.
BUDGET = 50

# Bits of an SVC's immediate: what the vector does before it returns.
SVC_OTHER_EL, SVC_STEP, SVC_UNMASK_DEBUG, SVC_MASK_DEBUG = 1, 2, 4, 8

_SS, _D = 1 << 21, 1 << 9
_LSR_28_24_26 = 0xD35AFC00 | 24 << 5 | 28  # LSR X28, X24, #26: the exception class
_MDE, _KDE = 1 << 15, 1 << 13
# MOV Wn, Wn: keeps the low half of the syndrome, because Linux injects aborts with all ones above.
_LOW_28, _LOW_24 = 0x2A1C03FC, 0x2A1803F8


def ending(register: int) -> list[asm.Item]:
    """The end of a program: a loop, because the host may skip any instruction of it."""
    return [
        asm.label("done"),
        asm.mov(register, layout.DONE),
        asm.str_(31, register),
        asm.b("done"),
    ]


def _set(name: str, bits: int) -> list[int]:
    return asm.flat(
        asm.mrs(28, name), asm.mov(27, bits), asm.orr_reg(28, 28, 27), asm.msr(name, 28)
    )


def _clear(name: str, bits: int) -> list[int]:
    # x28 & ~bits, as (x28 | bits) ^ bits.
    return asm.flat(
        asm.mrs(28, name),
        asm.mov(27, bits),
        asm.orr_reg(28, 28, 27),
        asm.eor_reg(28, 28, 27),
        asm.msr(name, 28),
    )


def _log(*names: str) -> list[int]:
    words: list[int] = []
    for name in names:
        words += [asm.mrs(28, name), *([_LOW_28] if name == "ESR_EL1" else [])]
        words += [asm.access("str", 28, 26, 8, mode="post")]
    return words


def _when(ec: int, target: str) -> list[asm.Item]:
    return [asm.sub(27, 28, ec), asm.cbz(27, target)]


def _when_asked(bit: int, name: str, words: list[int]) -> list[asm.Item]:
    return [asm.tbz(24, bit.bit_length() - 1, name), words, asm.label(name)]


def _interrupt() -> list[asm.Item]:
    """Acknowledge an interrupt, log its INTID in place of the syndrome, disable a level, EOI."""
    return [
        asm.label("interrupt"),
        asm.mrs(28, "ICC_IAR1_EL1"),
        asm.orr_reg(24, 31, 28),
        asm.access("str", 28, 26, 8, mode="post"),
        _log("ELR_EL1", "SPSR_EL1", "FAR_EL1"),
        asm.access("str", 29, 26, 8, mode="post"),
        asm.sub(25, 25, 1),
        asm.cbz(25, "end"),
        asm.sub(27, 24, layout.LEVEL),
        asm.cbnz(27, "eoi"),
        asm.mov(28, layout.GICD + 0x184),  # GICD_ICENABLER1
        asm.mov(27, 1 << layout.LEVEL - 32),
        asm.access("strw", 27, 28),
        asm.label("eoi"),
        asm.msr("ICC_EOIR1_EL1", 24),
        asm.ISB,
        asm.ERET,
    ]


def vectors(policy: str, step_policy: str, *, interrupts: bool = False) -> tuple[int, ...]:
    """The instructions from ``layout.VECTORS`` on. ``interrupts``: IRQs are acknowledged."""
    table: list[asm.Item] = []
    for offset in range(0, 0x800, 0x80):
        target = "interrupt" if interrupts and offset in (0x280, 0x480) else "taken"
        # QEMU clears the flags when an exception is taken: clear them on every KVM.
        table += [asm.msr("NZCV", 31), asm.mov(29, offset), asm.b(target), [asm.NOP] * 29]
    choices: dict[str, list[asm.Item]] = {
        "skip": [asm.b("skip")],
        "off": [_clear("MDSCR_EL1", _MDE | _KDE)],
        "mask": [_set("SPSR_EL1", _D)],
        "step": [_clear("MDSCR_EL1", _MDE), _set("MDSCR_EL1", 1), _set("SPSR_EL1", _SS)],
    }
    after_hit = choices[policy]
    after_step: list[asm.Item]
    if policy == "step":
        after_step = [_clear("MDSCR_EL1", 1), _set("MDSCR_EL1", _MDE), _clear("SPSR_EL1", _SS)]
    elif step_policy == "on":
        after_step = [_set("SPSR_EL1", _SS)]
    else:
        after_step = [_clear("MDSCR_EL1", 1)]
    code = asm.assemble(
        layout.VECTORS,
        *table,
        asm.label("taken"),
        _log("ESR_EL1", "ELR_EL1", "SPSR_EL1", "FAR_EL1"),
        asm.access("str", 29, 26, 8, mode="post"),
        # FAR is UNKNOWN after most exceptions: QEMU writes zero, others leave it unchanged.
        asm.msr("FAR_EL1", 31),
        asm.sub(25, 25, 1),
        asm.cbz(25, "end"),
        asm.mrs(24, "ESR_EL1"),
        _LOW_24,
        _LSR_28_24_26,
        *_when(EC.SVC64, "svc"),
        *_when(EC.BREAKPT_LOW, "hit"),
        *_when(EC.BREAKPT_CUR, "hit"),
        *_when(EC.WATCHPT_LOW, "hit"),
        *_when(EC.WATCHPT_CUR, "hit"),
        *_when(EC.SOFTSTP_LOW, "step"),
        *_when(EC.SOFTSTP_CUR, "step"),
        *_when(EC.IABT_LOW, "end"),
        *_when(EC.IABT_CUR, "end"),
        *_when(EC.PC_ALIGN, "end"),
        asm.label("skip"),
        asm.mrs(28, "ELR_EL1"),
        asm.add(28, 28, 4),
        asm.msr("ELR_EL1", 28),
        asm.ERET,
        asm.label("hit"),
        *after_hit,
        asm.ERET,
        asm.label("step"),
        *after_step,
        asm.ERET,
        asm.label("svc"),
        *_when_asked(
            SVC_OTHER_EL,
            "same",
            asm.flat(
                asm.mrs(28, "SPSR_EL1"),
                asm.mov(27, 5),
                asm.eor_reg(28, 28, 27),
                asm.msr("SPSR_EL1", 28),
            ),
        ),
        *_when_asked(SVC_STEP, "no-step", _set("SPSR_EL1", _SS)),
        *_when_asked(SVC_UNMASK_DEBUG, "no-unmask", _clear("SPSR_EL1", _D)),
        *_when_asked(SVC_MASK_DEBUG, "no-mask", _set("SPSR_EL1", _D)),
        asm.ERET,
        asm.label("end"),
        *ending(28),
        *(_interrupt() if interrupts else []),
    )
    return code.words
