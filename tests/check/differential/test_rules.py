"""What the rules explain, and that they explain nothing else."""

from dataclasses import replace

import pytest

from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.compare import Difference, compare
from guestdbg.check.differential.program import Debug, Program, SetReg
from guestdbg.check.differential.reserved import (
    breakpoint_is_reserved,
    link_is_reserved,
    watched_range,
    watchpoint_is_reserved,
)
from guestdbg.check.differential.rules import RULES, explain
from guestdbg.check.differential.trace import Moment, Trace, Where
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_USE_HW

HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
BASE = layout.DATA + 0x80
WATCH = EC.WATCHPT_LOW << 26 | 1 << 25 | 0x62
BREAK = EC.BREAKPT_LOW << 26 | 1 << 25 | 0x22
STEP = EC.SOFTSTP_LOW << 26 | 1 << 25 | 1 << 24 | 0x22
DABT = EC.DABT_CUR << 26 | 1 << 25
DONE = ("mmio", layout.DONE, 8, 1, "0" * 16)


def program(*code: int, mmu: bool = True, debug: Debug | None = None) -> Program:
    return Program(
        seed=0,
        mmu=mmu,
        el=1,
        code=code,
        vectors=(asm.NOP,) * 600,
        x=(0,) * 31,
        script=((0, (debug,)),) if debug else (),
    )


def trace(
    *exits: tuple[str | int, ...],
    taken: tuple[tuple[int, ...], ...] = (),
    memory: int = 0,
    final: dict[str, int] | None = None,
    refused: tuple[tuple[int, int], ...] = (),
    **registers: int,
) -> Trace:
    all_registers = {f"x{n}": 0 for n in range(31)} | {
        "pc": layout.CODE,
        "pstate": 0x3C5,
        "sp": 0,
        "sp_el1": 0,
        "elr_el1": 0,
        "ESR_EL1": 0,
        "MDSCR_EL1": 0,
        "x1": BASE,
    }
    moments = tuple(Moment(e, refused, all_registers | registers, memory) for e in exits)
    return Trace("0", moments, final or {}, {}, taken)


def rule(p: Program, a: Trace, b: Trace) -> str | None:
    difference = compare(a, b)
    assert difference is not None
    found = explain(p, difference, a, b)
    return found.name if found else None


def watch(far: int) -> tuple[str | int, ...]:
    return ("debug", WATCH, 0, far)


STORE = program(asm.str_(0, 1), debug=Debug(HW, (), ((0, 0x1FF7, BASE),)))
PAIR = program(asm.stp(0, 2, 1), debug=Debug(HW, (), ((0, 0x1FF7, BASE + 8),)))


def test_far_within_the_access_and_not_without() -> None:
    assert rule(STORE, trace(watch(BASE)), trace(watch(BASE + 7))) == "permitted-far"
    assert rule(STORE, trace(watch(BASE)), trace(watch(BASE + 8))) is None
    assert rule(STORE, trace(watch(BASE)), trace(watch(BASE - 1))) is None
    read = ("debug", WATCH & ~(1 << 6), 0, BASE + 7)
    assert rule(STORE, trace(watch(BASE)), trace(read)) is None
    assert rule(STORE, trace(watch(BASE)), trace(watch(BASE + 7), x3=1)) is None


def test_part_of_a_store() -> None:
    stopped = watch(BASE + 8)
    assert rule(PAIR, trace(stopped), trace(stopped, memory=1)) == "part-of-a-store"
    assert rule(STORE, trace(watch(BASE)), trace(watch(BASE), memory=1)) is None
    assert rule(PAIR, trace(DONE), trace(DONE, memory=1)) is None
    assert rule(PAIR, trace(stopped), trace(stopped, memory=1, x0=1)) is None
    structure = replace(PAIR, code=(asm.structure("st2", 1, 1),))
    assert rule(structure, trace(stopped), trace(stopped, memory=1)) == "part-of-a-store"
    vector = replace(PAIR, code=(asm.access("str_q", 1, 1),))
    assert rule(vector, trace(stopped), trace(stopped, memory=1)) == "part-of-a-store"
    exclusive = replace(PAIR, code=(asm.store_pair_exclusive(4, 0, 2, 1),))
    assert rule(exclusive, trace(stopped), trace(stopped, memory=1)) is None


def test_part_of_a_load() -> None:
    load = program(asm.ldp(4, 5, 1), debug=PAIR.script[0][1][0])  # type: ignore[arg-type]
    stopped = ("debug", WATCH & ~(1 << 6), 0, BASE + 8)
    assert rule(load, trace(stopped), trace(stopped, x4=1)) == "part-of-a-load"
    assert rule(load, trace(stopped), trace(stopped, x6=1)) is None
    assert rule(load, trace(DONE), trace(DONE, x4=1)) is None


def test_unaligned_stores_watched_from_the_page() -> None:
    p = program(asm.access("str", 0, 1, 3, mode="unscaled"), debug=STORE.script[0][1][0])  # type: ignore[arg-type]
    name = "qemu-unaligned-watched-too-far"
    assert rule(p, trace(DONE), trace(watch(BASE - 0x20))) == name
    assert rule(p, trace(DONE), trace(watch(BASE + 3))) is None
    assert rule(p, trace(DONE), trace(watch(BASE - layout.PAGE))) is None
    assert rule(STORE, trace(DONE), trace(watch(BASE - 0x20))) is None


def test_structures_of_one_register_are_read_eight_bytes_at_a_time() -> None:
    debug = STORE.script[0][1][0]
    name = "qemu-unaligned-watched-too-far"
    read = WATCH & ~(1 << 6)

    def of(word: int, far: int, first: int = BASE + 2) -> str | None:
        p = program(word, debug=debug)  # type: ignore[arg-type]
        return rule(p, trace(DONE, x1=first), trace(("debug", read, 0, far), x1=first))

    ld1, post = 0x4C407023, 0x4CDF7023  # ld1 {v3.16b}, [x1]; and , #16
    assert of(ld1, BASE) == of(post, BASE) == of(ld1, BASE + 0x17) == name
    assert of(ld1, BASE + 2) is of(ld1, BASE - 1) is of(ld1, BASE + 0x18) is None
    assert of(ld1, BASE - 1, BASE) is None, "aligned"
    assert of(0x4C404023, BASE) is None  # ld3: by its elements
    store = program(0x4C007023, debug=debug)  # type: ignore[arg-type]
    there = BASE + 2
    assert rule(store, trace(DONE, x1=there), trace(watch(BASE - 0x20), x1=there)) == name


def test_unaligned_stores_watched_by_the_guest_itself() -> None:
    p = program(asm.access("str", 0, 1, 3, mode="unscaled"))
    name = "qemu-unaligned-watched-too-far"

    def of(far: int) -> str | None:
        syndrome = EC.WATCHPT_CUR << 26 | 0x62
        entry = (syndrome, layout.CODE, 0x1C5, far, 0x200)
        return rule(p, trace(DONE), trace(DONE, taken=(entry,), memory=1))

    assert of(BASE - 0x20) == name
    assert of(BASE + 3) is None


def test_unaligned_loads_watched_beside_them() -> None:
    debug = STORE.script[0][1][0]
    p = program(asm.access("ldr", 0, 1, 3, mode="unscaled"), debug=debug)  # type: ignore[arg-type]

    def of(far: int) -> str | None:
        return rule(p, trace(DONE), trace(("debug", WATCH & ~(1 << 6), 0, far)))

    assert of(BASE) == of(BASE + 2) == of(BASE + 15) == "qemu-unaligned-watched-too-far"
    assert of(BASE + 3) is of(BASE + 10) is None
    assert of(BASE - 1) is of(BASE + 16) is None


def test_a_pair_whose_first_half_ends_before_the_page() -> None:
    debug = STORE.script[0][1][0]
    p = program(asm.stp(0, 2, 1), debug=debug)  # type: ignore[arg-type]
    first = layout.DATA + layout.PAGE - 11
    name = "qemu-unaligned-watched-too-far"
    assert rule(p, trace(DONE, x1=first), trace(watch(layout.DATA + 0x80), x1=first)) == name


def test_write_not_read_stays() -> None:
    write = (EC.WATCHPT_LOW << 26 | 0x62, layout.CODE + 4, 0x3C0, BASE, 0x400)
    read = (EC.WATCHPT_LOW << 26 | 0x22, layout.CODE, 0x3C0, BASE, 0x400)
    wrong = (read[0] | 0x40, *read[1:])
    name = "qemu-write-not-read-stays"
    load = program(asm.ldr(0, 1), asm.str_(0, 1))

    def of(p: Program, a: tuple[int, ...], b: tuple[int, ...], **registers: int) -> str | None:
        one = trace(DONE, taken=(write, a))
        return rule(p, one, trace(DONE, taken=(write, b), memory=1, **registers))

    assert of(load, read, wrong) == name
    assert of(load, wrong, read) is None
    assert of(load, read, wrong, x5=1) is None
    assert of(program(asm.str_(0, 1), asm.str_(0, 1)), read, wrong) is None
    assert rule(load, trace(DONE, taken=(read,)), trace(DONE, taken=(wrong,), memory=1)) is None


def test_a_processor_with_bti() -> None:
    def taken(spsr: int, esr: int = EC.SVC64 << 26) -> tuple[tuple[int, ...], ...]:
        return ((esr, layout.CODE, spsr, 0, 0x400),)

    name = "processor-with-bti"
    one, other = trace(DONE, taken=taken(0x1C0)), trace(DONE, taken=taken(0x9C0), memory=1)
    assert rule(STORE, one, other) == name
    assert rule(STORE, other, one) is None
    assert rule(STORE, trace(DONE), trace(DONE, pstate=0x7C5)) == name
    assert rule(STORE, trace(DONE), trace(DONE, pstate=0x7C4)) is None
    assert rule(STORE, one, trace(DONE, taken=taken(0x9C0), x3=1)) is None
    assert rule(STORE, one, trace(DONE, taken=taken(0x9C0, 0), memory=1)) is None


def test_a_return_to_aarch32() -> None:
    def taken(esr: int, spsr: int) -> Trace:
        return trace(DONE, taken=((esr, layout.CODE, spsr, 0, 0x200),), memory=spsr)

    illegal = taken(EC.ILL << 26 | 1 << 25, 0xF01000C5)
    name = "processor-with-aarch32"
    assert rule(STORE, illegal, taken(EC.DABT_LOW << 26 | 7, 0xF0000090)) == name
    assert rule(STORE, illegal, taken(EC.DABT_LOW << 26 | 7, 0xF0000080)) is None
    assert rule(STORE, taken(EC.DABT_LOW << 26 | 7, 0xF0000090), illegal) is None
    assert rule(STORE, taken(EC.SVC64 << 26, 0x3C5), taken(0, 0xF0000090)) is None


def test_a_branch_type_beside_another_difference() -> None:
    one, far = trace(watch(BASE)), watch(BASE + 7)
    assert rule(STORE, one, trace(far, pstate=0x3C5 | 1 << 11)) == "permitted-far"
    assert rule(STORE, one, trace(far, pstate=0x3C5 | 1 << 12)) is None
    assert rule(STORE, trace(watch(BASE), pstate=0x3C5 | 1 << 11), trace(far)) is None
    assert rule(STORE, one, trace(watch(BASE + 8), pstate=0x3C5 | 1 << 11)) is None


def test_injected_size_faults() -> None:
    def of(iss: int, far: int, other: int) -> str | None:
        entry = (DABT | iss, layout.CODE, 0x3C5, far, 0x200)
        wrong = (DABT | other, *entry[1:])
        return rule(STORE, trace(DONE, taken=(entry,)), trace(DONE, taken=(wrong,), memory=1))

    assert of(0x40, 1 << 50, 0x00) == "linux-injected-size-fault"
    assert of(0x00, 1 << 50, 0x40) is None
    assert of(0x44, 1 << 50, 0x04) is None
    assert of(0x40, layout.UNMAPPED, 0x00) is None


def test_the_communications_channel() -> None:
    entry = (EC.SYS64 << 26 | 1 << 25, layout.CODE, 0x3C0, 0, 0x400)
    one, other = trace(DONE, taken=(entry,), memory=1), trace(DONE)
    name = "qemu-no-trap-of-the-communications-channel"
    assert rule(program(asm.mrs(0, "MDCCSR_EL0")), one, other) == name
    assert rule(program(asm.mrs(0, "MDCCSR_EL0")), other, one) is None
    assert rule(program(asm.mrs(0, "MDSCR_EL1")), one, other) is None


def test_pc_alignment_comes_before_the_abort() -> None:
    align = (EC.PC_ALIGN << 26, 0x1E5, 0x1C5, 0x1E5, 0x200)
    abort = (EC.IABT_CUR << 26 | 0xD, 0x1E5, 0x1C5, 0x1E5, 0x200)
    one, other = trace(DONE, taken=(align,)), trace(DONE, taken=(abort,), memory=1)
    assert rule(STORE, one, other) == "qemu-abort-before-pc-alignment"
    assert rule(STORE, other, one) is None
    elsewhere = trace(DONE, taken=((*abort[:3], 0, 0x200),), memory=1)
    assert rule(STORE, one, elsewhere) is None


def test_pc_alignment_comes_before_an_abort_whose_handler_is_stopped() -> None:
    def stopped(ec: int, elr: int) -> Trace:
        return trace(("debug", BREAK, 0, -1), ESR_EL1=ec << 26 | 1 << 25, elr_el1=elr)

    one, other = stopped(EC.PC_ALIGN, 0xA001), stopped(EC.IABT_CUR, 0xA001)
    assert rule(STORE, one, other) == "qemu-abort-before-pc-alignment"
    assert rule(STORE, other, one) is None
    aligned = stopped(EC.PC_ALIGN, 0xA000), stopped(EC.IABT_CUR, 0xA000)
    assert rule(STORE, *aligned) is None


def unprivileged(pac: int, lsc: int = 2, name: str = "str", at: int = BASE) -> Program:
    debug = Debug(HW, (), ((0, 0x1FE1 | pac << 1 | lsc << 3, at),))
    return program(asm.access(name, 0, 1, mode="unprivileged"), debug=debug)


def test_a_pending_step_comes_before_the_abort() -> None:
    def taken(esr: int, spsr: int = 0x1C0, elr: int = BASE, far: int = 0) -> Trace:
        return trace(DONE, taken=((esr, elr, spsr, far, 0x400),), memory=far)

    step, abort = EC.SOFTSTP_LOW << 26 | 0x22, EC.IABT_LOW << 26 | 0xF
    one, other = taken(step), taken(abort, far=BASE)
    assert rule(STORE, one, other) == "qemu-abort-before-pending-step"
    assert rule(STORE, other, one) is None
    stepping = 0x1C0 | 1 << 21  # active-not-pending: the fetch does come first
    assert rule(STORE, taken(step, stepping), taken(abort, stepping, far=BASE)) is None
    assert rule(STORE, one, taken(abort, elr=BASE + 4, far=BASE + 4)) is None
    assert rule(STORE, one, taken(EC.DABT_LOW << 26 | 7, far=BASE)) is None
    assert rule(STORE, one, taken(abort, far=BASE + 8)) is None


def test_what_is_taken_later_does_not_matter() -> None:
    """A load that was stopped in part, and much later an exception that only one side takes."""
    load = program(asm.ldp(4, 5, 1), debug=PAIR.script[0][1][0])  # type: ignore[arg-type]
    stopped = ("debug", WATCH & ~(1 << 6), 0, BASE + 8)
    one, other = trace(stopped, DONE), trace(stopped, DONE, x4=1)
    svc = (EC.SVC64 << 26, layout.CODE, 0x3C5, 0, 0x200)

    def of(written: int) -> str | None:
        sides = [
            replace(
                t, moments=tuple(replace(m, registers={**m.registers, **here}) for m in t.moments)
            )
            for t in (one, replace(other, taken=(svc,)))
            for here in [{"x26": layout.LOG + written}]
        ]
        return rule(load, sides[0], sides[1])

    assert of(0) == "part-of-a-load"
    assert of(layout.LOG_ENTRY) is of(8) is None  # until now


def test_unprivileged_accesses() -> None:
    """LDTR and STTR at EL1: EL0's watchpoints hit on the software KVM, EL1's on the other."""
    name = "qemu-unprivileged-accesses"
    hit, none = trace(watch(BASE)), trace(DONE)
    assert rule(unprivileged(2), hit, none) == name
    assert rule(unprivileged(1), none, hit) == name
    # The other way round the software KVM would be wrong; one for both levels hits on both.
    assert rule(unprivileged(2), none, hit) is None
    assert rule(unprivileged(1), hit, none) is None
    assert rule(unprivileged(3), hit, none) is None
    assert rule(unprivileged(3), none, hit) is None
    # Not for another instruction, another level, another address, or another kind of access.
    assert rule(replace(unprivileged(2), code=(asm.str_(0, 1),)), hit, none) is None
    assert rule(unprivileged(2), trace(watch(BASE), pstate=0x3C0), none) is None
    assert rule(unprivileged(2, at=BASE + 8), hit, none) is None
    assert rule(unprivileged(2, at=BASE - 8), hit, none) is None
    assert rule(unprivileged(2, lsc=1), hit, none) is None
    assert rule(unprivileged(2, lsc=1, name="ldr"), hit, none) == name
    # A hit on both sides is not explained by the access being unprivileged.
    read = trace(("debug", WATCH & ~(1 << 6), 0, BASE))
    assert rule(unprivileged(2), hit, read) is None


def test_unprivileged_accesses_that_the_guest_watches_itself() -> None:
    name = "qemu-unprivileged-accesses"
    p = program(asm.access("str", 0, 1, mode="unprivileged"))

    def of(pac: int, side: int, spsr: int = 0x1C5, far: int = BASE) -> str | None:
        final = {"DBGWCR0_EL1": 0x1FF1 | pac << 1, "DBGWVR0_EL1": BASE}
        entry = (EC.WATCHPT_CUR << 26 | 0x62, layout.CODE, spsr, far, 0x200)
        traces = [trace(DONE, final=final), trace(DONE, final=final)]
        traces[side] = trace(DONE, taken=(entry,), memory=1, final=final)
        return rule(p, *traces)

    assert of(2, 0) == of(1, 1) == name
    assert of(1, 0) is of(2, 1) is of(3, 0) is of(3, 1) is None
    assert of(2, 0, spsr=0x1C0) is None
    assert of(2, 0, far=BASE + 8) is None


def test_the_guests_watchpoints_of_then_count_too() -> None:
    """The guest has written another value since."""

    def of(pac: int, number: int = 0) -> str | None:
        p = program(
            asm.access("str", 0, 1, mode="unprivileged"),
            *asm.mov(13, BASE),
            asm.msr(f"DBGWVR{number}_EL1", 13),
            *asm.mov(13, 0x1FF1 | pac << 1),
            asm.msr("DBGWCR0_EL1", 13),
        )
        final = {"DBGWCR0_EL1": 0x113, "DBGWVR0_EL1": BASE + 0x800}
        entry = (EC.WATCHPT_CUR << 26 | 0x62, layout.CODE, 0x1C5, BASE, 0x200)
        one = trace(DONE, taken=(entry,), memory=1, final=final)
        return rule(p, one, trace(DONE, final=final))

    assert of(2) == "qemu-unprivileged-accesses"
    assert of(1) is of(3) is of(2, number=1) is None


def test_watched_ranges() -> None:
    assert watched_range(0x1FF7, BASE) == (BASE, BASE + 8)
    assert watched_range(0x0077, BASE) == (BASE, BASE + 2)
    assert watched_range(0x0197, BASE) == (BASE + 2, BASE + 4)
    assert watched_range(0x1FF7, BASE + 4) == (BASE + 4, BASE + 8)
    assert watched_range(0x5001FF7, BASE) == (BASE & -32, (BASE & -32) + 32)


def test_flags_after_an_exception() -> None:
    inside, flags = layout.VECTORS + 0x200, 0x600003C5
    one, other = trace(DONE, pc=inside, pstate=flags), trace(DONE, pc=inside)
    assert rule(STORE, one, other) == "qemu-flags-after-an-exception"
    assert rule(STORE, other, one) is None
    assert rule(STORE, trace(DONE, pstate=flags), trace(DONE)) is None
    assert rule(STORE, trace(DONE, pc=inside, pstate=flags), replace(other, name="0")) is not None
    assert rule(STORE, trace(DONE, pc=inside, pstate=flags | 0x200000), other) is None


@pytest.mark.parametrize(
    ("far", "iss", "mmu", "expected"),
    [
        (BASE + 1, 0x21, False, "qemu-alignment-of-device-memory"),
        (layout.NOWHERE + 1, 0x21, True, "qemu-alignment-of-device-memory"),
        (BASE + 1, 0x21, True, None),
        (BASE, 0x21, False, None),
        (BASE + 1, 0x07, False, None),
    ],
)
def test_alignment_of_device_memory(far: int, iss: int, mmu: bool, expected: str | None) -> None:
    entry = (DABT | iss, layout.CODE, 0x3C5, far, 0x200)
    one, other = trace(DONE, taken=(entry,), memory=1), trace(DONE)
    p = program(asm.ldr(0, 1), mmu=mmu)
    assert rule(p, one, other) == expected
    assert rule(p, other, one) is None
    # Not if the other side faults there too, and not for accesses without an alignment.
    aborts = trace(DONE, taken=((DABT | 0x50, *entry[1:]),))
    assert rule(p, one, aborts) is None
    assert rule(program(asm.access("ldrb", 0, 1), mmu=mmu), one, other) is None
    assert rule(program(asm.NOP, mmu=mmu), one, other) is None


def test_store_exclusive_without_the_monitor() -> None:
    entry = (DABT | 0x4F, layout.CODE, 0x3C5, layout.READ_ONLY, 0x200)
    one, other = trace(DONE, taken=(entry,), memory=1), trace(DONE)
    name = "store-exclusive-without-the-monitor"
    assert rule(program(asm.store_exclusive(3, 0, 1)), one, other) == name
    assert rule(program(asm.load_exclusive(0, 1)), one, other) is None
    assert rule(program(asm.str_(0, 1)), one, other) is None


def test_cache_maintenance() -> None:
    entry = (DABT | 0x147, layout.CODE, 0x3C5, layout.UNMAPPED, 0x200)
    one, other = trace(DONE, taken=(entry,), memory=1), trace(DONE)
    assert rule(program(asm.dc("cvau", 1)), one, other) == "qemu-cache-maintenance"
    assert rule(program(asm.dc("cvau", 1)), other, one) is None
    for word in (asm.dc("zva", 1), asm.dc("cisw", 1), 0xD5087800 | 1):  # AT S1E1R
        assert rule(program(word), one, other) is None
    assert rule(program(asm.str_(0, 1)), one, other) is None


def test_cache_maintenance_is_watched() -> None:
    syndrome = EC.WATCHPT_LOW << 26 | 1 << 25 | 0x162
    seen = ("debug", syndrome, 0, BASE)
    ivac = program(asm.dc_ivac(1), debug=Debug(HW, (), ((0, 0x1FF7, BASE),)))
    assert rule(ivac, trace(seen), trace(DONE)) == "qemu-cache-maintenance"
    assert rule(ivac, trace(DONE), trace(seen)) is None
    cvac = replace(ivac, code=(asm.dc("cvac", 1),))
    assert rule(cvac, trace(seen), trace(DONE)) is None  # not watched
    assert rule(STORE, trace(watch(BASE)), trace(DONE)) is None


def test_a_step_of_what_masks_steps() -> None:
    entry = (EC.SOFTSTP_CUR << 26, layout.CODE + 4, 0x3C5, 0, 0x200)
    one, other = trace(DONE), trace(DONE, taken=(entry,), memory=1)
    p = program(asm.daifset(8))
    assert rule(p, one, other) == "qemu-step-of-what-masks-steps"
    assert rule(p, other, one) is None
    assert rule(program(asm.daifset(1)), one, other) is None


def test_the_scratch_register_is_known_from_the_code() -> None:
    syndrome = EC.WATCHPT_CUR << 26 | 0x62
    p = program(asm.add(13, 1, 3), asm.stp(0, 2, 13))
    entry = (syndrome, layout.CODE + 4, 0x1C5, BASE - 0x20, 0x200)
    other = trace(DONE, taken=(entry,), memory=1)
    assert rule(p, trace(DONE), other) == "qemu-unaligned-watched-too-far"
    p = program(*asm.mov(13, BASE + 8), asm.stp(0, 2, 13))
    entry = (syndrome, layout.CODE + 8, 0x1C5, BASE - 0x20, 0x200)
    assert rule(p, trace(DONE), trace(DONE, taken=(entry,), memory=1)) is None


ISV = 1 << 24


def stepped(isv: bool, own: bool, ex: bool = False) -> Trace:
    """A step exit after the first instruction, by the host or by the guest itself."""
    iss = 0x22 | isv << 24 | ex << 6
    if own:
        entry = (EC.SOFTSTP_CUR << 26 | iss, layout.CODE + 4, 0x1C5, 0, 0x200)
        return trace(DONE, taken=(entry,), memory=int(isv))
    step = ("debug", EC.SOFTSTP_LOW << 26 | 1 << 25 | iss, 0, -1)
    return trace(step, pc=layout.CODE + 4)


def test_steps_of_what_was_trapped() -> None:
    """Debug registers in a guest's own steps: trapped on one side only."""
    name = "own-step-of-what-was-trapped"
    for word in (asm.msr("DBGBVR0_EL1", 1), asm.mrs(1, "MDSCR_EL1")):
        p = program(word)
        assert rule(p, stepped(True, True), stepped(False, True)) == name
        assert rule(p, stepped(False, True), stepped(True, True)) is None
        # Each step of the host is an exit on both sides: nothing differs.
        assert rule(p, stepped(True, False), stepped(False, False)) is None
        assert rule(p, stepped(False, False), stepped(True, False)) is None
        assert rule(p, stepped(True, True), stepped(False, True, ex=True)) is None
    for word in (asm.msr("TPIDR_EL1", 1), asm.msr("FAR_EL1", 1), asm.str_(0, 1)):
        assert rule(program(word), stepped(True, True), stepped(False, True)) is None


@pytest.mark.parametrize("own", [False, True])
def test_steps_of_what_a_newer_processor_does_not_trap(own: bool) -> None:
    name = "processor-with-s2fwb"
    for register in ("SCTLR_EL1", "FAR_EL1", "CONTEXTIDR_EL1", "AMAIR_EL1"):
        p = program(asm.msr(register, 1))
        assert rule(p, stepped(False, own), stepped(True, own)) == name
        assert rule(p, stepped(True, own), stepped(False, own)) is None
        assert rule(p, stepped(False, own), stepped(True, own, ex=True)) is None
    for word in (asm.mrs(1, "SCTLR_EL1"), asm.msr("TPIDR_EL1", 1), asm.msr("VBAR_EL1", 1)):
        assert rule(program(word), stepped(False, own), stepped(True, own)) is None


def test_a_step_while_mdscr_is_written() -> None:
    entry = (EC.SOFTSTP_CUR << 26, layout.CODE + 4, 0x1C5, 0, 0x200)
    one, other = trace(DONE), trace(DONE, taken=(entry,), memory=1)
    p = program(asm.msr("MDSCR_EL1", 1))
    assert rule(p, one, other) == rule(p, other, one) == "step-while-mdscr-is-written"
    assert rule(STORE, one, other) is None
    # Whether it is taken, not how.
    twice = trace(DONE, taken=((entry[0] | 1 << 6, *entry[1:]),))
    assert rule(p, twice, other) is None


def test_an_interrupt_or_a_debug_exception() -> None:
    irq = (3, layout.CODE + 4, 0x145, 0, 0x280)
    step = (EC.SOFTSTP_CUR << 26, layout.CODE + 4, 0x145, 0, 0x200)
    one, other = trace(DONE, taken=(irq,)), trace(DONE, taken=(step,), memory=1)
    p = replace(STORE, interrupts=True)
    assert rule(p, one, other) == rule(p, other, one) == "interrupt-or-debug-exception"
    assert rule(STORE, one, other) is None
    elsewhere = trace(DONE, taken=((*step[:1], layout.CODE + 8, *step[2:]),), memory=1)
    assert rule(p, one, elsewhere) is None
    svc = trace(DONE, taken=((EC.SVC64 << 26, *step[1:]),), memory=1)
    assert rule(p, one, svc) is None
    # Another interrupt is not explained.
    assert rule(p, one, trace(DONE, taken=((2, *irq[1:]),), memory=1)) is None


def test_an_interrupt_or_a_pending_step() -> None:
    p = replace(STORE, interrupts=True)
    step = ("debug", STEP & ~(1 << 24), 0, -1)
    here, vector = layout.CODE + 8, layout.VECTORS + 0x280
    one = trace(step, pc=here)
    other = trace(step, pc=vector, elr_el1=here, pstate=0x3C5)
    assert rule(p, one, other) == "interrupt-or-pending-step"
    # QEMU takes the interrupt first.
    assert rule(p, other, one) is None
    assert rule(STORE, one, other) is None
    assert rule(p, one, trace(step, pc=vector, elr_el1=here + 4)) is None
    assert rule(p, one, trace(step, pc=vector - 0x80, elr_el1=here)) is None
    # The instruction was executed without an exit.
    valid = ("debug", STEP, 0, -1)
    assert rule(p, trace(valid, pc=here), trace(valid, pc=vector, elr_el1=here)) is None


def test_a_step_of_an_eoi() -> None:
    p = replace(program(asm.msr("ICC_EOIR1_EL1", 3)), interrupts=True)
    here = {"pc": layout.CODE + 4}
    one = trace(("debug", STEP & ~(1 << 24), 0, -1), **here)
    other = trace(("debug", STEP, 0, -1), **here)
    assert rule(p, one, other) == "step-of-an-eoi"
    # QEMU takes the step first.
    assert rule(p, other, one) is None
    assert rule(replace(p, interrupts=False), one, other) is None
    assert rule(replace(p, code=(asm.msr("ICC_PMR_EL1", 3),)), one, other) is None


def test_injected_syndromes() -> None:
    high = DABT | 0x10 | 0xFFFFFFFF << 32
    one, other = trace(DONE, ESR_EL1=DABT | 0x10), trace(DONE, ESR_EL1=high)
    assert rule(STORE, one, other) == "linux-injected-syndrome"
    assert rule(STORE, other, one) is None
    assert rule(STORE, one, trace(DONE, ESR_EL1=high ^ 1)) is None
    svc = EC.SVC64 << 26
    assert rule(STORE, trace(DONE, ESR_EL1=svc), trace(DONE, ESR_EL1=svc | high)) is None
    wide = 0xFFFFFFFF << 32
    assert rule(STORE, trace(DONE, ESR_EL1=svc), trace(DONE, ESR_EL1=svc | wide)) is None


def on(kernel: str, one: Trace) -> Trace:
    return replace(one, where=Where("host", kernel, 0x411FD070))


def test_rules_apply_to_the_kernels_that_they_state() -> None:
    low, high = DABT | 0x10, DABT | 0x10 | 0xFFFFFFFF << 32
    one, other = trace(DONE, ESR_EL1=low), trace(DONE, ESR_EL1=high)
    assert rule(STORE, one, on("6.1.0-56-cloud-arm64", other)) == "linux-injected-syndrome"
    assert rule(STORE, one, on("7.2.13+deb14-cloud-arm64", other)) is None
    injected = next(r for r in RULES if r.name == "linux-injected-syndrome")
    releases = ("6.1.0-56", "6.11", "6.12.118", "7.2", "unknown")
    assert [injected.applies_to(r) for r in releases] == [True, True, False, False, True]
    since = replace(injected, since=(6, 4), until=None)
    assert [since.applies_to(r) for r in ("6.1", "6.4", "7.2")] == [False, True, True]


def test_reserved_bits() -> None:
    def of(name: str, a: int, b: int) -> str | None:
        return rule(STORE, trace(DONE, final={name: a}), trace(DONE, final={name: b}))

    name = "qemu-reserved-bits-of-registers"
    assert of("MDSCR_EL1", 0x8000, 0x148000) == name
    assert of("MDSCR_EL1", 0x8000, 1 << 40 | 0x8000) is None, "the software KVM keeps these"
    assert of("MDSCR_EL1", 0x8000, 0x2000) is None
    assert of("DBGWCR0_EL1", 0x17, 0xA00017) == name
    assert of("DBGWCR0_EL1", 0x17, 0x15) is None
    assert of("DBGBCR0_EL1", 0xA7, 0x1E7) == of("DBGBCR0_EL1", 0x27, 0x67) == name
    assert of("DBGBCR0_EL1", 0xA7, 0xE7) is None
    assert of("DBGBCR0_EL1", 0x1E7, 0xA7) is None
    assert of("DBGWCR0_EL1", 0xA00017, 0x17) is None  # here the software KVM would keep them
    assert of("MDSCR_EL1", 0x148000, 0x8000) is None
    assert of("DBGBVR0_EL1", 0x40000000, 0x40000001) == name
    assert of("DBGBVR0_EL1", 0x40000000, 0x40000004) is None
    assert of("CONTEXTIDR_EL1", 0, 1) is None


def test_reserved_encodings() -> None:
    def of(
        breakpoints: tuple[tuple[int, int, int], ...] = (),
        watchpoints: tuple[tuple[int, int, int], ...] = (),
        seen: tuple[str | int, ...] = ("debug", BREAK, 0, -1),
    ) -> str | None:
        p = program(asm.str_(0, 1), debug=Debug(HW, breakpoints, watchpoints))
        return rule(p, trace(DONE), trace(seen))

    assert of(((0, 0x8001E7, 0),)) == "reserved-encoding"  # VMID
    assert of(((0, 0x1E7, layout.CODE),)) is None
    assert of(((0, 0x8001E6, 0),)) is None  # not enabled
    assert of((), ((0, 0x1FE7, BASE),), watch(BASE)) == "reserved-encoding"  # LSC 0
    assert of((), ((0, 0x1FF7, BASE),), watch(BASE)) is None
    assert of(((0, 0x8001E7, 0),), (), watch(BASE)) is None  # of the other kind
    assert of((), ((5, 0x1FE7, BASE),), watch(BASE)) is None  # not implemented


@pytest.mark.parametrize("field", ["x3", "sp", "pc", "MDSCR_EL1", "memory", "elr_el1", "refused"])
def test_what_nothing_explains(field: str) -> None:
    a, b = trace(DONE), trace(DONE)
    if field == "memory":
        b = trace(DONE, memory=1)
    elif field == "refused":
        b = trace(DONE, refused=((0, 22),))
    else:
        b = trace(DONE, **{field: 0x2000})
    assert rule(STORE, a, b) is None


def test_a_refusal_is_never_explained() -> None:
    a, b = trace(watch(BASE)), trace(watch(BASE + 7), refused=((0, 22),))
    assert rule(STORE, a, b) is None


def test_a_trace_that_ends_sooner() -> None:
    difference = compare(trace(DONE), trace(DONE, DONE))
    assert difference == Difference("0", 1, (("length", 1, 2),))
    assert explain(STORE, difference, trace(DONE), trace(DONE, DONE)) is None


def test_traces_up_to_a_kick() -> None:
    assert compare(trace(("kicked",)), trace(("kicked",), x3=1)) is None
    assert compare(trace(DONE), trace(DONE)) is None
    assert trace(("kicked",)).digest == trace(("kicked",), x3=1).digest


def test_every_rule_says_who_is_right() -> None:
    assert len({r.name for r in RULES}) == len(RULES)
    for one in RULES:
        assert one.right in ("soft", "real", "both")
        assert len(one.why) > 60


@pytest.mark.parametrize(
    ("control", "value", "reserved"),
    [
        (0x1E7, 0x40000000, False),
        (0x1E6, 0x40000000, False),
        (0x0A7, 0x40000000, True),  # BAS
        (0x21E7, 0x40000000, False),  # HMC 1, PMC 3
        (0x21E5, 0x40000000, True),  # HMC 1, PMC 2
        (0x41E7, 0x40000000, True),  # SSC 1 without EL3
        (0x3001E7, 1, False),
        (0x4001E7, 0x40000000, True),  # mismatch
        (0x1E7, 0x1000_0000_4000_0000, True),
    ],
)
def test_reserved_breakpoints(control: int, value: int, reserved: bool) -> None:
    assert breakpoint_is_reserved(control, value) is reserved


@pytest.mark.parametrize(
    ("control", "value", "reserved"),
    [
        (0x1FF7, 0x40000000, False),
        (0x1FF6, 0x40000000, False),
        (0x00B7, 0x40000000, True),  # BAS 0b101
        (0x0017, 0x40000000, True),  # BAS 0
        (0x1FE7, 0x40000000, True),  # LSC 0
        (0x01F7, 0x40000004, False),
        (0x0217, 0x40000004, True),  # BAS[7:4] with the word above
        (0x8001FF7, 0x40000000, False),
        (0x8001FF7, 0x40000080, True),  # below MASK
        (0x8000FF7, 0x40000000, True),  # MASK and BAS
        (0x2001FF7, 0x40000000, True),  # MASK 2
    ],
)
def test_reserved_watchpoints(control: int, value: int, reserved: bool) -> None:
    assert watchpoint_is_reserved(control, value) is reserved


def test_reserved_links() -> None:
    assert not link_is_reserved(0x1401E7, 20, {4: 0x3001E7})
    assert link_is_reserved(0x1401E7, 20, {4: 0x1E7})
    assert link_is_reserved(0x1401E7, 20, {5: 0x3001E7})
    assert not link_is_reserved(0x0401E7, 20, {})


def test_actions_that_are_not_debug_do_not_count() -> None:
    p = replace(STORE, script=((0, (SetReg("MDSCR_EL1", 0),)),))
    assert rule(p, trace(DONE), trace(watch(BASE))) is None
