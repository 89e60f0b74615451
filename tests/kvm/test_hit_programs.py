"""Hit programs at the seam: what they decide, what they leave to the caller, what is refused."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.kvm import (
    ExitDebug,
    ExitHit,
    ExitIntr,
    GuestDebug,
    HitProgram,
    KvmError,
    SupportsHitPrograms,
    open_kvm,
)
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.hit_programs import (
    MAX_DEPTH,
    MAX_EXCLUDED,
    MAX_FIELDS,
    MAX_HIDDEN,
    MAX_OPERATIONS,
    MAX_PROGRAMS,
    RECORD_WORDS,
    SYSTEM_REGISTERS,
    Op,
    Operation,
)
from guestdbg.kvm.regs import core_reg, size_of, sys_reg
from guestdbg.kvm.soft.vcpu import SoftVcpu

RAM, DATA = 0x4000_0000, 0x4001_0000
PC, X0, X1, X2 = (core_reg(name) for name in ("pc", "x0", "x1", "x2"))
B_SELF = 0x14000000
ADD_X0_1, STR_X0_X1, LDR_X2_X1 = 0x91000400, 0xF9000020, 0xF9400022
LOOP = [ADD_X0_1, STR_X0_X1, LDR_X2_X1, 0x17FFFFFD]  # b loop

HARDWARE = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
ARMED = GuestDebug(HARDWARE, dbg_wvr=(DATA,), dbg_wcr=(0x1FF7,))  # stores to the doubleword
STORES = HitProgram("watch", DATA, 8, 2)


class Guest:
    def __init__(self, words: Sequence[int] = LOOP, linux: str = "6.14") -> None:
        self.ram = mmap.mmap(-1, 1 << 20)
        self.ram[: 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
        vm = open_kvm("soft", linux=linux).create_vm()
        vm.set_user_memory_region(0, RAM, self.ram)
        vcpu = vm.create_vcpu()
        vcpu.init(vm.preferred_target())
        assert isinstance(vcpu, SoftVcpu)
        self.vcpu = vcpu
        vcpu.set_one_reg(PC, RAM)
        vcpu.set_one_reg(X1, DATA)
        vcpu.set_guest_debug(ARMED)
        vcpu.max_instructions = 10_000

    def pc(self) -> int:
        return self.vcpu.get_one_reg(PC) - RAM


def equals(op: Op, value: int, index: int = 0) -> tuple[tuple[int, int, int], ...]:
    return ((op, index, 0), (Op.CONST, 0, value), (Op.EQ, 0, 0))


def test_the_extension_is_found_by_isinstance() -> None:
    assert isinstance(Guest().vcpu, SupportsHitPrograms)


def test_the_codes_are_the_same_on_both_sides() -> None:
    from guestdbg.cpu import conditions  # type: ignore[attr-defined]

    assert {op.name: op.value for op in Op} == conditions.OPS
    assert set(SYSTEM_REGISTERS.values()) == conditions.SYSTEM_REGISTERS
    assert conditions.LIMITS == {
        "depth": MAX_DEPTH,
        "operations": MAX_OPERATIONS,
        "programs": MAX_PROGRAMS,
        "record_words": RECORD_WORDS,
        "plain": MAX_EXCLUDED,
        "hidden": MAX_HIDDEN,
        "fields": MAX_FIELDS,
    }


def test_a_hit_is_reported_after_the_access() -> None:
    guest = Guest()
    programs = guest.vcpu.set_hit_programs([STORES])
    for n in range(1, 4):
        exit_ = guest.vcpu.run()
        assert isinstance(exit_, ExitHit)
        assert exit_.debug == ExitDebug(0xD2000062, 0, DATA)
        pc, address, size, access, _ = exit_.what
        assert (pc, address, size, access) == (RAM + 4, DATA, 8, 2)
        (hit,) = exit_.hits
        assert (hit.program, hit.decided) == (0, True)
        assert hit.old == struct.pack("<Q", n - 1)
        assert hit.new == struct.pack("<Q", n) == guest.ram[0x10000:0x10008]
        assert guest.pc() == 8
        assert programs.counts(0) == (n, n)


def test_hits_that_fail_the_condition_are_only_counted() -> None:
    guest = Guest()
    programs = guest.vcpu.set_hit_programs(
        [HitProgram("watch", DATA, 8, 2, condition=equals(Op.NEW, 1000))]
    )
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    assert guest.vcpu.get_one_reg(X0) == 1000
    assert programs.counts(0) == (1000, 1)
    # 1000 rounds of four but for what was to come after the store
    assert guest.vcpu.instructions == 4 * 1000 - 2
    assert isinstance(guest.vcpu.run(), ExitIntr)
    assert guest.vcpu.instructions == 10_000


def test_a_breakpoint_is_decided_before_its_instruction() -> None:
    guest = Guest()
    guest.vcpu.set_guest_debug(GuestDebug(HARDWARE, dbg_bvr=(RAM + 4,), dbg_bcr=(0x1E7,)))
    programs = guest.vcpu.set_hit_programs(
        [HitProgram("break", RAM + 4, condition=equals(Op.X, 500, 0))]
    )
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    assert exit_.debug.hsr == 0xC2000022
    assert guest.pc() == 4
    assert programs.counts(0) == (500, 1)
    assert guest.ram[0x10000:0x10008] == struct.pack("<Q", 499)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        # 8 bytes at x1 - 8, which are -2; sign-extended or not
        ([(Op.X, 1, 0), (Op.CONST, 0, 8), (Op.SUB, 0, 0), (Op.LOAD, 24, 0), "-2"], True),
        ([(Op.X, 1, 0), (Op.CONST, 0, 8), (Op.SUB, 0, 0), (Op.LOAD, 8, 0), "-2"], False),
        ([(Op.X, 1, 0), (Op.CONST, 0, 8), (Op.SUB, 0, 0), (Op.LOAD, 17, 0), "-2"], True),
        ([(Op.X, 1, 0), (Op.CONST, 0, 8), (Op.SUB, 0, 0), (Op.LOAD, 2, 0), "65534"], True),
        ([(Op.PSTATE, 0, 0), "965"], True),  # EL1h, everything masked
        ([(Op.CONST, 0, -7), (Op.CONST, 0, 2), (Op.DIV, 0, 0), "-3"], True),
        ([(Op.CONST, 0, -7), (Op.CONST, 0, 2), (Op.REM, 0, 0), "-1"], True),
        ([(Op.CONST, 0, -1 << 127), (Op.CONST, 0, -1), (Op.DIV, 0, 0), f"{-1 << 127}"], True),
        ([(Op.CONST, 0, -1 << 127), (Op.CONST, 0, -1), (Op.FLOORDIV, 0, 0), f"{-1 << 127}"], True),
        ([(Op.CONST, 0, -1 << 127), (Op.CONST, 0, -1), (Op.MOD, 0, 0), "0"], True),
        ([(Op.CONST, 0, (1 << 127) - 1), (Op.CONST, 0, 1), (Op.ADD, 0, 0), f"{-1 << 127}"], True),
        ([(Op.CONST, 0, 0x1FF), (Op.SEXT, 8, 0), "-1"], True),
        ([(Op.CONST, 0, -1), (Op.ZEXT, 64, 0), f"{(1 << 64) - 1}"], True),
        ([(Op.CONST, 0, 1), (Op.CONST, 0, 2), (Op.SWAP, 0, 0), (Op.DROP, 0, 0), "2"], True),
        ([(Op.CONST, 0, 5), (Op.PICK, 0, 0), (Op.MUL, 0, 0), "25"], True),
        # over the constant that would make it wrong; and not over it
        (
            [(Op.CONST, 0, 3), (Op.CONST, 0, 1), (Op.JUMP_IF, 0, 5), (Op.DROP, 0, 0)]
            + [(Op.CONST, 0, 4), "3"],
            True,
        ),
        (
            [(Op.CONST, 0, 3), (Op.CONST, 0, 0), (Op.JUMP_IF, 0, 5), (Op.DROP, 0, 0)]
            + [(Op.CONST, 0, 4), "4"],
            True,
        ),
        ([(Op.CONST, 0, 3), (Op.JUMP, 0, 4), (Op.JUMP, 0, 4), (Op.DROP, 0, 0), "3"], None),
        ([(Op.CONST, 0, 3), (Op.JUMP, 0, 2), "3"], True),
    ],
)
def test_what_conditions_can_compute(condition: list[Operation | str], holds: bool | None) -> None:
    """A text means "is equal to"."""
    guest = Guest()
    guest.ram[0x10000 - 8 : 0x10000] = struct.pack("<q", -2)
    steps: list[Operation] = []
    for step in condition:
        steps += [(Op.CONST, 0, int(step)), (Op.EQ, 0, 0)] if isinstance(step, str) else [step]
    program = HitProgram("watch", DATA, 8, 2, condition=tuple(steps))
    if holds is None:
        with pytest.raises(KvmError, match="operation 2 is never reached"):
            guest.vcpu.set_hit_programs([program])
        return
    guest.vcpu.set_hit_programs([program])
    assert isinstance(guest.vcpu.run(), ExitHit if holds else ExitIntr)


@pytest.mark.parametrize("name", SYSTEM_REGISTERS)
@pytest.mark.parametrize("sp_sel", [0, 1])
def test_system_registers_read_as_at_the_seam(name: str, sp_sel: int) -> None:
    guest = Guest()
    core = {"SP_EL0": "sp", "ELR_EL1": "elr_el1", "SPSR_EL1": "spsr[0]"}
    core |= {"FPCR": "fpcr", "FPSR": "fpsr"}
    register = core_reg(core[name]) if name in core else sys_reg(name)
    guest.vcpu.set_one_reg(core_reg("pstate"), 0x3C4 | sp_sel)
    mmu_off = 0x30D0_0800
    if name != "MPIDR_EL1":  # which is as it is
        value = mmu_off if name == "SCTLR_EL1" else 0xFFFF_FFFF_1234_5678
        guest.vcpu.set_one_reg(register, value & (1 << 8 * size_of(register)) - 1)
    value = guest.vcpu.get_one_reg(register)
    assert value
    steps = ((Op.SYSTEM, 0, SYSTEM_REGISTERS[name]), (Op.CONST, 0, value), (Op.EQ, 0, 0))
    guest.vcpu.set_hit_programs([HitProgram("watch", DATA, 8, 2, condition=steps)])
    assert isinstance(guest.vcpu.run(), ExitHit)
    assert guest.vcpu.get_one_reg(register) == value


def test_records_until_the_buffer_is_full() -> None:
    guest = Guest()
    buffer = bytearray(100 * 8 * (RECORD_WORDS + 2))
    programs = guest.vcpu.set_hit_programs(
        [HitProgram("watch", DATA, 8, 2, buffer=buffer, registers=(0, 1))]
    )
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    assert [(hit.program, hit.decided) for hit in exit_.hits] == [(0, True)]
    assert exit_.hits[0].new == (100).to_bytes(8, "little")
    assert programs.recorded(0) == 100
    records = list(struct.iter_unpack("=9Q", buffer))
    for n, record in enumerate(records, start=1):
        size = 8 | 2 << 8 | 1 << 16
        assert record == (RAM + 4, DATA, n - 1, n, 4 * n - 2, size, n, n, DATA)
    programs.clear(0)
    guest.vcpu.run()
    assert struct.unpack_from("=4Q", buffer) == (RAM + 4, DATA, 100, 101)
    programs.clear(0, 7)
    guest.vcpu.run()
    assert programs.recorded(0) == 7


def test_fields_of_records_are_computed() -> None:
    """After the access; guest-physical memory is that of the slots, whatever the MMU maps."""
    guest = Guest()
    tables(guest)
    guest.ram[0x10040:0x10048] = struct.pack("<q", -5)
    fields = (
        ((Op.NEW, 0, 0), (Op.CONST, 0, 2), (Op.MUL, 0, 0)),
        ((Op.CONST, 0, DATA + 0x40), (Op.PHYSICAL, 17, 0)),
        ((Op.CONST, 0, DATA), (Op.PHYSICAL, 8, 0)),
        ((Op.X, 0, 0),),
    )
    buffer = bytearray(3 * 8 * (RECORD_WORDS + 1 + len(fields)))
    programs = guest.vcpu.set_hit_programs(
        [HitProgram("watch", DATA, 8, 2, buffer=buffer, registers=(1,), fields=fields, vcpu=513)]
    )
    assert isinstance(guest.vcpu.run(), ExitHit)
    assert programs.recorded(0) == 3
    for n, record in enumerate(struct.iter_unpack("=12Q", buffer), start=1):
        assert record[5] == 8 | 2 << 8 | 1 << 16 | 513 << 32
        assert record[7:] == (DATA, 2 * n, (1 << 64) - 5, n, n)


@pytest.mark.parametrize(
    "field",
    [
        ((Op.CONST, 0, 1), (Op.CONST, 0, 0), (Op.DIV, 0, 0)),
        ((Op.CONST, 0, 0x123_0000_0000), (Op.LOAD, 8, 0)),
        ((Op.CONST, 0, 0x123_0000_0000), (Op.PHYSICAL, 8, 0)),
        ((Op.CONST, 0, DATA + 0xFFC), (Op.PHYSICAL, 8, 0)),  # across pages
        ((Op.CONST, 0, RAM + (1 << 20)), (Op.PHYSICAL, 1, 0)),  # after the slot
        ((Op.CONST, 0, DATA + 0x80), (Op.PHYSICAL, 4, 0)),  # hidden
    ],
)
def test_a_record_whose_fields_cannot_be_computed_is_left_to_the_caller(
    field: tuple[Operation, ...],
) -> None:
    guest = Guest()
    buffer = bytearray(3 * 8 * (RECORD_WORDS + 1))
    program = HitProgram("watch", DATA, 8, 2, buffer=buffer, fields=(field,))
    programs = guest.vcpu.set_hit_programs([program], hidden=[DATA + 0x80])
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    assert exit_.hits[0].decided is False
    assert exit_.hits[0].new == (1).to_bytes(8, "little")
    assert (programs.recorded(0), programs.counts(0)) == (0, (1, 0))


@pytest.mark.parametrize(
    ("word", "offset", "why"),
    [
        (STR_X0_X1, 0xFFC, "it crosses a page"),
        (0x4C007020, 0x1000, "st1 {v0.16b}, [x1]"),
        (0xC8047C20, 0x1000, "stxr w4, x0, [x1]"),
        (0xC85F7C20, 0x1000, "ldxr x0, [x1]"),
    ],
)
def test_what_is_left_to_the_debugger(word: int, offset: int, why: str) -> None:
    guest = Guest([0xC85F7C20, word, B_SELF] if "stxr" in why else [word, B_SELF])
    base = DATA & ~0xFFF
    guest.vcpu.set_one_reg(sys_reg("CPACR_EL1"), 3 << 20)
    guest.vcpu.set_one_reg(X1, base + offset)
    # With the MMU off memory is Device memory, where unaligned accesses fault: map it as Normal.
    tables(guest)
    control = GuestDebug(HARDWARE, dbg_wvr=(base + 0x1000,), dbg_wcr=(0x1FFF,))
    guest.vcpu.set_guest_debug(control)
    guest.vcpu.set_hit_programs([HitProgram("watch", base + 0x1000, 8, 3)])
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitDebug), why
    assert exit_.ec == 0x34


def tables(guest: Guest) -> None:
    """The MMU on: the first 2 MiB of RAM at their own address, Normal memory."""
    struct.pack_into("<Q", guest.ram, 0x80000 + 8, RAM + 0x81000 | 3)  # level 1, the second GiB
    struct.pack_into("<Q", guest.ram, 0x81000, RAM | 1 << 10 | 1)  # level 2, a block
    for name, value in (
        ("MAIR_EL1", 0xFF),
        ("TCR_EL1", 25 | 25 << 16 | 1 << 23),
        ("TTBR0_EL1", RAM + 0x80000),
        ("SCTLR_EL1", 0x30D00801),
    ):
        guest.vcpu.set_one_reg(sys_reg(name), value)


def test_excluded_ranges_and_breakpoints_exit_as_without_programs() -> None:
    guest = Guest()
    guest.vcpu.set_hit_programs([STORES], excluded=[(DATA + 4, DATA + 5)])
    assert guest.vcpu.run() == ExitDebug(0xD2000062, 0, DATA)
    assert guest.pc() == 4
    guest = Guest()
    guest.vcpu.set_guest_debug(GuestDebug(HARDWARE, dbg_bvr=(RAM + 4,), dbg_bcr=(0x1E7,)))
    never = HitProgram("break", RAM + 4, condition=equals(Op.X, 500, 0))
    guest.vcpu.set_hit_programs([never], excluded=[(RAM + 4, RAM + 4)])
    assert guest.vcpu.run() == ExitDebug(0xC2000022)


def test_the_former_name_of_excluded_works_with_a_warning() -> None:
    guest = Guest()
    with pytest.warns(DeprecationWarning, match="now called excluded"):
        guest.vcpu.set_hit_programs([STORES], plain=[(DATA + 4, DATA + 5)])
    assert isinstance(guest.vcpu.run(), ExitDebug)


@pytest.mark.parametrize(
    ("at", "left"), [(-4, False), (-3, True), (0, True), (7, True), (8, False)]
)
def test_what_involves_hidden_words_is_left_to_the_debugger(at: int, left: bool) -> None:
    guest = Guest()
    guest.vcpu.set_hit_programs([STORES], hidden=[RAM, DATA + at])
    assert isinstance(guest.vcpu.run(), ExitDebug if left else ExitHit)
    # The same of what a condition reads, by a fixed address and by one that it computes.
    other = (Op.MEMORY, 8, DATA + 0x40), (Op.CONST, 0, DATA + 0x40)
    for steps in ((other[0],), (other[1], (Op.LOAD, 8, 0))):
        guest = Guest()
        program = HitProgram("watch", DATA, 8, 2, condition=steps)
        guest.vcpu.set_hit_programs([program], hidden=[RAM, DATA + 0x40 + at])
        exit_ = guest.vcpu.run()
        if not left:
            assert isinstance(exit_, ExitIntr)  # the condition never holds
            continue
        assert isinstance(exit_, ExitHit)
        assert exit_.hits[0].decided is False


def test_there_are_limits() -> None:
    guest = Guest()
    guest.vcpu.set_hit_programs([STORES], [(0, 0)] * MAX_EXCLUDED, [0] * MAX_HIDDEN)
    with pytest.raises(KvmError, match="65 ranges without a program: there can be 64"):
        guest.vcpu.set_hit_programs([STORES], [(0, 0)] * 65)
    with pytest.raises(KvmError, match="65 hidden words: there can be 64"):
        guest.vcpu.set_hit_programs([STORES], hidden=[0] * 65)


def test_they_are_not_used_while_stepping_or_without_use_hw() -> None:
    guest = Guest()
    programs = guest.vcpu.set_hit_programs([STORES])
    step = GuestDebug(HARDWARE | KVM_GUESTDBG_SINGLESTEP, dbg_wvr=(DATA,), dbg_wcr=(0x1FF7,))
    guest.vcpu.set_guest_debug(step)
    exits = [guest.vcpu.run() for _ in range(2)]
    assert [exit_.ec for exit_ in exits if isinstance(exit_, ExitDebug)] == [0x32, 0x34]
    assert programs.counts(0) == (0, 0)
    # The guest's own watchpoint, which Linux 6.1 routes to the host with ENABLE alone, belongs to
    # no program.
    guest = Guest(linux="6.1")
    guest.vcpu.set_hit_programs([STORES])
    guest.vcpu.set_guest_debug(GuestDebug(KVM_GUESTDBG_ENABLE))
    guest.vcpu.set_one_reg(sys_reg("DBGWVR0_EL1"), DATA)
    guest.vcpu.set_one_reg(sys_reg("DBGWCR0_EL1"), 0x1FF7)
    guest.vcpu.set_one_reg(sys_reg("MDSCR_EL1"), 1 << 15 | 1 << 13)
    assert isinstance(guest.vcpu.run(), ExitDebug)
    guest.vcpu.set_guest_debug(ARMED)
    assert isinstance(guest.vcpu.run(), ExitHit)


def test_an_empty_list_removes_them() -> None:
    guest = Guest()
    guest.vcpu.set_hit_programs([STORES])
    assert isinstance(guest.vcpu.run(), ExitHit)
    guest.vcpu.set_hit_programs([])
    assert isinstance(guest.vcpu.run(), ExitDebug)


def test_conditions_that_cannot_be_evaluated_go_to_the_caller() -> None:
    divided = (*equals(Op.NEW, 0), (Op.CONST, 0, 0), (Op.FLOORDIV, 0, 0))
    unmapped = ((Op.MEMORY, 8, 0x123_0000_0000),)
    for condition in (divided, unmapped):
        guest = Guest()
        guest.vcpu.set_hit_programs([HitProgram("watch", DATA, 8, 2, condition=condition)])
        exit_ = guest.vcpu.run()
        assert isinstance(exit_, ExitHit)
        assert exit_.hits[0].decided is False


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (HitProgram("watch", DATA, 0, 2), "for 0 bytes"),
        (HitProgram("watch", DATA, 8, 2, fields=(((Op.PC, 0, 0),),) * 9), "more than 8 fields"),
        (HitProgram("watch", DATA, 8, 2, fields=(((Op.ADD, 0, 0),),)), "stack"),
        (HitProgram("watch", DATA, 8, 2, fields=((),)), "without operations"),
        (HitProgram("watch", DATA, 8, 2, vcpu=1 << 16), "must have 16 bits"),
        (HitProgram("watch", DATA, 8, 2, condition=()), "without operations"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.ADD, 0, 0),)), "stack"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0),) * 2), "one value"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0),) * 33), "stack"),
        (HitProgram("watch", DATA, 8, 2, condition=((99, 0, 0),)), "no operation 99"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.X, 31, 0),)), "x0 to x30"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.MEMORY, 3, 0),)), "1, 2, 4 or 8"),
        (HitProgram("watch", DATA, 24, 2, condition=((Op.NEW, 0, 0),)), "1, 2, 4 or 8 bytes"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.LOAD, 40, 0))), "or 8"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.SEXT, 65, 0))), "1 to 64"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.ZEXT, 0, 0))), "1 to 64"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.PICK, 1, 0))), "stack"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.PICK, -1, 0))), "index -1"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.ROT, 0, 0))), "stack"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.DROP, 0, 0))), "one value"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.JUMP, 0, 0))), "forward"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.JUMP, 0, 1))), "forward"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.JUMP, 0, 3))), "forward"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.JUMP, 0, 1 << 64),)), "forward"),
        (
            HitProgram(
                "watch",
                DATA,
                8,
                2,
                condition=((Op.PC, 0, 0), (Op.JUMP_IF, 0, 3), (Op.PC, 0, 0), (Op.NOT, 0, 0)),
            ),
            "reached with 0 values on the stack, and with 1|0 and with 1",
        ),
        (
            HitProgram(
                "watch", DATA, 8, 2, condition=((Op.PC, 0, 0), (Op.JUMP_IF, 0, 3), (Op.PC, 0, 0))
            ),
            "one value",
        ),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.PC, 0, 0),) * 4097), "4097 operations"),
        (HitProgram("watch", DATA, 8, 2, condition=((Op.SYSTEM, 0, 0x8012),)), "0x8012 is not"),
        (HitProgram("watch", DATA, 8, 2, buffer=bytearray(8)), "too small"),
        (HitProgram("watch", DATA, 8, 2, registers=(31,)), "x0 to x30"),
    ],
)
def test_programs_that_could_not_run_are_refused(program: HitProgram, text: str) -> None:
    guest = Guest()
    with pytest.raises(KvmError, match=text) as caught:
        guest.vcpu.set_hit_programs([program])
    assert caught.value.errno == 22
    with pytest.raises(KvmError, match="there can be 32"):
        guest.vcpu.set_hit_programs([STORES] * 33)
    assert isinstance(guest.vcpu.run(), ExitDebug)


@pytest.mark.parametrize("length", [8, 4, 16])
@pytest.mark.parametrize("plain", [False, True])
def test_the_last_bytes_that_there_are(length: int, plain: bool) -> None:
    """A range that ends where addresses do is a range as any other."""
    last = 1 << 64
    guest = Guest()
    level1, level2, level3 = 0x8000, 0x9000, 0xA000
    for table, index, entry in (
        (level1, 1, RAM | 0x701),  # its own addresses, by a block
        (level1, 511, RAM + level2 | 3),
        (level2, 511, RAM + level3 | 3),
        (level3, 511, DATA | 0x703),
    ):
        struct.pack_into("<Q", guest.ram, table + 8 * index, entry)
    for name, value in (
        ("MAIR_EL1", 0xFF),
        ("TCR_EL1", 25 | 25 << 16 | 2 << 30 | 1 << 32),  # 39 bits each, 4 KiB
        ("TTBR0_EL1", RAM + level1),
        ("TTBR1_EL1", RAM + level1),
        ("SCTLR_EL1", 0x30D0_0981),
    ):
        guest.vcpu.set_one_reg(sys_reg(name), value)
    guest.vcpu.set_one_reg(X1, last - 8)
    mask = 4 if length == 16 else 0
    bas = 0xF0 if length == 4 else 0xFF
    control = 0x17 | bas << 5 | mask << 24
    guest.vcpu.set_guest_debug(
        GuestDebug(HARDWARE, dbg_wvr=(last - max(length, 8),), dbg_wcr=(control,))
    )
    if plain:
        elsewhere = HitProgram("watch", DATA, 8, 2)
        guest.vcpu.set_hit_programs([elsewhere], [(last - length, last)])
        exit_ = guest.vcpu.run()
        assert isinstance(exit_, ExitDebug)
        assert exit_.far == last - min(length, 8)
        return
    guest.vcpu.set_hit_programs([HitProgram("watch", last - length, length, 2)])
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    (hit,) = exit_.hits
    new = (1).to_bytes(8, "little")
    assert hit.new == (new[4:] if length == 4 else new)
    assert guest.pc() == 8


@pytest.mark.parametrize("beside", [DATA - 8, DATA + 8])
def test_adjacent_ranges_are_not_excluded(beside: int) -> None:
    """Ranges that touch have no byte in common."""
    guest = Guest()
    guest.vcpu.set_hit_programs([STORES], excluded=[(beside, beside + 8)])
    assert isinstance(guest.vcpu.run(), ExitHit)
    guest = Guest()
    installed = guest.vcpu.set_hit_programs([HitProgram("watch", beside, 8, 2), STORES])
    exit_ = guest.vcpu.run()
    assert isinstance(exit_, ExitHit)
    assert [hit.program for hit in exit_.hits] == [1]
    assert installed.counts(0) == (0, 0)
