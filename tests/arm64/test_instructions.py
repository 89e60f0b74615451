"""What instructions access, compared with Unicorn; where they branch, compared with capstone."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import capstone
import pytest
import unicorn
from hypothesis import given
from hypothesis import strategies as st
from unicorn import arm64_const

from guestdbg.arm64 import instructions as insn
from guestdbg.arm64.instructions import Access, BranchKind, InstructionClass

AS = shutil.which("aarch64-linux-gnu-as")
OBJCOPY = shutil.which("aarch64-linux-gnu-objcopy")

CODE, DATA, SIZE = 0x1000_0000, 0x2000_0000, 0x40_0000
PC = CODE + SIZE // 2
MIDDLE = DATA + SIZE // 2
_64 = (1 << 64) - 1

#: First bytes of encodings that random words rarely make valid: half of the words begin so.
RARE = (
    0x08,
    0x48,
    0x88,
    0xC8,
    0x38,
    0x78,
    0xB8,
    0xF8,
    0x0C,
    0x4C,
    0x0D,
    0x4D,
    0x19,
    0x59,
    0x99,
    0xD9,
)

#: (fixed bits, free bits) of forms that random words hardly ever have.
NARROW = (
    (0x085F7C00, 0xC00083FF),  # LDXR, LDAXR
    (0x08DF7C00, 0xC00083FF),  # LDAR, LDLAR
    (0x089F7C00, 0xC00083FF),  # STLR, STLLR
    (0x38BFC000, 0xC00003FF),  # LDAPR
    (0x08207C00, 0x405E83DE),  # CASP
    (0x38200000, 0xC0DF73FF),  # LDADD to LDUMIN
    (0x38208000, 0xC0DF03FF),  # SWP
    (0xF8200400, 0x00DFFBFF),  # LDRAA, LDRAB
)

#: The forms that must be among the words; otherwise the test has not tested them.
FORMS = """
    str strb strh sttr sttrb sttrh stur sturb sturh ldr ldrb ldrh ldrsb ldrsh ldrsw ldur ldurb ldurh
    ldursb ldursh ldursw ldtr ldtrb ldtrh ldtrsb ldtrsh ldtrsw prfm prfum
    stp ldp stnp ldnp ldpsw ldraa ldrab
    stxr stlxr ldxr ldaxr stxrb stlxrb ldxrb ldaxrb stxrh stlxrh ldxrh ldaxrh stxp stlxp ldxp ldaxp
    stlr stlrb stlrh ldar ldarb ldarh stllr ldlar
    ldapr ldaprb ldaprh ldapur ldapurb ldapurh ldapursb ldapursh ldapursw stlur stlurb stlurh
    cas casa casl casal casb cash casp caspa caspl caspal
    ldadd ldclr ldeor ldset ldsmax ldsmin ldumax ldumin swp ldaddb swph ldsetal
    ld1 ld2 ld3 ld4 st1 st2 st3 st4 ld1r ld2r ld3r ld4r
"""


class Machine:
    """A Unicorn processor that executes one instruction and says what memory it touched."""

    def __init__(self) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_MAX)
        self.uc.mem_map(CODE, SIZE)
        self.uc.mem_map(DATA, SIZE)
        self.uc.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        self.x = [getattr(arm64_const, f"UC_ARM64_REG_X{i}") for i in range(31)]
        self.read: set[int] = set()
        self.written: set[int] = set()
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self.uc.hook_add(kinds, self._touched)

    def _touched(self, uc: object, kind: int, address: int, size: int, *_: object) -> None:
        touched = self.written if kind == unicorn.UC_MEM_WRITE else self.read
        touched.update(range(address, address + size))

    def execute(self, raw: int, regs: dict[str, int]) -> bool:
        """Execute one word; False where it did not complete (undefined, alignment, unmapped)."""
        for i, number in enumerate(self.x):
            self.uc.reg_write(number, regs[f"x{i}"])
        self.uc.reg_write(arm64_const.UC_ARM64_REG_SP, regs["sp"])
        self.uc.mem_write(PC, raw.to_bytes(4, "little"))
        self.uc.ctl_remove_cache(PC, PC + 4)
        self.read.clear()
        self.written.clear()
        try:
            self.uc.emu_start(PC, PC + 4, count=1)
        except unicorn.UcError:
            return False
        return True


def some_word(rnd: random.Random) -> int:
    """A random word of the load/store encoding space."""
    raw = (rnd.getrandbits(32) | 1 << 27) & ~(1 << 25)
    if rnd.random() < 0.2:
        fixed, free = rnd.choice(NARROW)
        return fixed | raw & free
    if rnd.random() < 0.5:
        raw = rnd.choice(RARE) << 24 | raw & 0xFFFFFF
        if rnd.random() < 0.5:
            if raw >> 24 & 0x3F == 8:
                raw |= 0x7C00  # Rt2 of the forms that have none
            if raw >> 24 & 0x3F in (0xC, 0xD):
                raw &= ~0x1F0000  # Rm likewise
    return raw


def some_registers(rnd: random.Random, raw: int) -> dict[str, int]:
    """Values with which the base lies in the middle of the data, and an index nearby."""
    regs = {f"x{i}": rnd.getrandbits(64) for i in range(31)}
    small = rnd.getrandbits(10)
    if raw >> 16 & 31 != 31:
        regs[f"x{raw >> 16 & 31}"] = rnd.choice([small, -small & _64, -small & 0xFFFFFFFF])
    base = MIDDLE + rnd.getrandbits(8) * 16
    if raw >> 29 & 1 and raw >> 24 & 1 and rnd.random() < 0.3:
        base += rnd.getrandbits(4)  # plain loads and stores need no alignment
    if raw >> 5 & 31 != 31:
        regs[f"x{raw >> 5 & 31}"] = base
    regs["sp"] = MIDDLE + rnd.getrandbits(8) * 16
    regs["pc"] = PC
    return regs


def bytes_of(accesses: tuple[Access, ...]) -> tuple[set[int], set[int]]:
    read: set[int] = set()
    written: set[int] = set()
    for access in accesses:
        touched = range(access.address, access.end)
        if access.is_read:
            read.update(touched)
        if access.is_write:
            written.update(touched)
    return read, written


def test_accesses_are_those_that_unicorn_makes() -> None:
    machine, disassembler = Machine(), capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    rnd = random.Random(20261122)
    seen: set[str] = set()
    for _ in range(16_000):
        raw = some_word(rnd)
        regs = some_registers(rnd, raw)
        if not machine.execute(raw, regs):
            continue
        read, written = bytes_of(insn.accesses(raw, regs.__getitem__))
        operand = insn.memory_operand(raw)
        if operand is not None and operand.conditional:
            # A failed compare-and-swap or store-exclusive writes nothing.
            assert machine.written <= written, hex(raw)
            assert machine.read <= read | written, hex(raw)
        else:
            assert (machine.read, machine.written) == (read, written), hex(raw)
        for decoded in disassembler.disasm(raw.to_bytes(4, "little"), PC):
            seen.add(decoded.mnemonic)
    assert sorted(set(FORMS.split()) - seen) == []


@pytest.mark.parametrize(
    ("raw", "block"),
    [(0xD50B7420, 64), (0xD50B7420 | 5, 64), (0xD50B743F, 2048)],
)
def test_dc_zva_clears_its_block(raw: int, block: int) -> None:
    regs = {f"x{i}": 0x4000_1234 + i for i in range(31)}
    (access,) = insn.accesses(raw, regs.__getitem__, zva_size=block)
    start = 0 if raw & 31 == 31 else regs[f"x{raw & 31}"] // block * block
    assert (access.address, access.size, access.is_write, access.is_read) == (
        start,
        block,
        True,
        False,
    )
    assert insn.classify(raw) is InstructionClass.STORE


def assemble(
    tmp_path: Path, lines: list[str], arch: str = "armv8.7-a+memtag+ls64+lse"
) -> list[int]:
    if not (AS and OBJCOPY):
        pytest.skip("aarch64-linux-gnu binutils are not installed")
    source, built, raw = tmp_path / "i.s", tmp_path / "i.o", tmp_path / "i.bin"
    source.write_text(f".arch {arch}\n" + "\n".join(lines) + "\n")
    subprocess.run([str(AS), source, "-o", built], check=True)
    subprocess.run([str(OBJCOPY), "-O", "binary", built, raw], check=True)
    code = raw.read_bytes()
    return [int.from_bytes(code[i : i + 4], "little") for i in range(0, len(code), 4)]


def test_forms_that_unicorn_does_not_have(tmp_path: Path) -> None:
    """Memory tags and 64-byte accesses, from the manual's pages."""
    table: dict[str, list[tuple[int, int, bool]]] = {
        "stp x1, x2, [x3, #16]": [(0x1010, 8, True), (0x1018, 8, True)],
        "stgp x1, x2, [x3, #32]": [(0x1020, 8, True), (0x1028, 8, True)],
        "stgp x1, x2, [x3], #32": [(0x1000, 8, True), (0x1008, 8, True)],
        "stzg x1, [x3, #16]": [(0x1010, 16, True)],
        "stzg x1, [x3], #16": [(0x1000, 16, True)],
        "stz2g x1, [x3, #-32]!": [(0xFE0, 16, True), (0xFF0, 16, True)],
        "stg x1, [x3]": [],
        "st2g x1, [x3]": [],
        "ldg x1, [x3]": [],
        "ldgm x1, [x3]": [],
        "stgm x1, [x3]": [],
        "ld64b x8, [x3]": [(0x1000, 64, False)],
        "st64b x8, [x3]": [(0x1000, 64, True)],
        "st64bv x5, x8, [x3]": [(0x1000, 64, True)],
        "st64bv0 x5, x8, [x3]": [(0x1000, 64, True)],
    }
    regs = {"x3": 0x1000}
    for raw, (text, expected) in zip(assemble(tmp_path, list(table)), table.items(), strict=True):
        found = insn.accesses(raw, regs.__getitem__)
        assert [(a.address, a.size, a.is_write) for a in found] == expected, text


def test_newer_extensions() -> None:
    """LSE128 and LRCPC3, from the manual's encoding diagrams (assemblers of today lack them)."""
    regs = {"x3": 0x1000}
    for raw, expected in (
        (0x19221061, [(0x1000, 16, True, True)]),  # LDCLRP X1, X2, [X3]
        (0x19223061, [(0x1000, 16, True, True)]),  # LDSETP X1, X2, [X3]
        (0x19228061, [(0x1000, 16, True, True)]),  # SWPP X1, X2, [X3]
        (0xD9421861, [(0x1000, 8, False, True), (0x1008, 8, False, True)]),  # LDIAPP X1, X2, [X3]
        (0xD9420861, [(0x1000, 8, False, True), (0x1008, 8, False, True)]),  # LDIAPP …, [X3], #16
        (0xD9020861, [(0xFF0, 8, True, False), (0xFF8, 8, True, False)]),  # STILP …, [X3, #-16]!
        (0xD9800861, [(0xFF8, 8, True, False)]),  # STLR X1, [X3, #-8]!
        (0xD9C00861, [(0x1000, 8, False, True)]),  # LDAPR X1, [X3], #8
    ):
        found = insn.accesses(raw, regs.__getitem__)
        assert [(a.address, a.size, a.is_write, a.is_read) for a in found] == expected, hex(raw)


def test_every_exclusive_is_known_and_nothing_else(tmp_path: Path) -> None:
    loads = [
        f"{name}{size} {reg}, [x3]"
        for name in ("ldxr", "ldaxr")
        for size, reg in (("", "x1"), ("", "w1"), ("b", "w1"), ("h", "w1"))
    ] + ["ldxp x1, x2, [x3]", "ldaxp w1, w2, [x3]"]
    stores = [
        f"{name}{size} w5, {reg}, [x3]"
        for name in ("stxr", "stlxr")
        for size, reg in (("", "x1"), ("", "w1"), ("b", "w1"), ("h", "w1"))
    ] + ["stxp w5, x1, x2, [x3]", "stlxp w5, w1, w2, [x3]"]
    others = [
        "ldar x1, [x3]", "stlr x1, [x3]", "cas x1, x2, [x3]", "casp x0, x1, x2, x3, [x4]",
        "ldr x1, [x3]", "stp x1, x2, [x3]", "ldapr x1, [x3]", "clrex", "nop", "ldadd x1, x2, [x3]",
    ]  # fmt: skip
    raws = assemble(tmp_path, loads + stores + others)
    for raw, text in zip(raws, loads + stores + others, strict=True):
        assert insn.is_load_exclusive(raw) == (text in loads), text
        assert insn.is_store_exclusive(raw) == (text in stores), text
        assert insn.is_exclusive(raw) == (text in loads + stores), text
    status = insn.memory_operand(raws[len(loads)])
    assert status is not None
    assert status.status == 5


def test_classes(tmp_path: Path) -> None:
    table = {
        "b .": InstructionClass.JUMP,
        "b.eq .": InstructionClass.JUMP,
        "cbz x1, .": InstructionClass.JUMP,
        "tbnz x1, #40, .": InstructionClass.JUMP,
        "br x5": InstructionClass.JUMP,
        "braa x5, x6": InstructionClass.JUMP,
        "bl .": InstructionClass.CALL,
        "blr x5": InstructionClass.CALL,
        "blraaz x5": InstructionClass.CALL,
        "blrab x5, x6": InstructionClass.CALL,
        "ret": InstructionClass.RETURN,
        "ret x5": InstructionClass.RETURN,
        "retaa": InstructionClass.RETURN,
        "eret": InstructionClass.EXCEPTION_RETURN,
        "eretab": InstructionClass.EXCEPTION_RETURN,
        "svc #5": InstructionClass.SUPERVISOR_CALL,
        "hvc #5": InstructionClass.HYPERVISOR_CALL,
        "smc #5": InstructionClass.SECURE_CALL,
        "brk #0x123": InstructionClass.BREAKPOINT,
        "hlt #1": InstructionClass.HALT,
        "wfi": InstructionClass.WAIT,
        "wfe": InstructionClass.WAIT,
        "wfit x1": InstructionClass.WAIT,
        "dsb sy": InstructionClass.BARRIER,
        "dmb ish": InstructionClass.BARRIER,
        "isb": InstructionClass.BARRIER,
        "clrex": InstructionClass.BARRIER,
        "mrs x1, midr_el1": InstructionClass.SYSTEM,
        "msr vbar_el1, x1": InstructionClass.SYSTEM,
        "tlbi vmalle1": InstructionClass.SYSTEM,
        "dc cvac, x1": InstructionClass.SYSTEM,
        "dc zva, x1": InstructionClass.STORE,
        "prfm pldl1keep, [x1]": InstructionClass.PREFETCH,
        "prfm pldl1keep, [x1, x2]": InstructionClass.PREFETCH,
        "prfum pldl1keep, [x1, #-3]": InstructionClass.PREFETCH,
        "prfm pldl1keep, .": InstructionClass.PREFETCH,
        "ldr x1, [x2]": InstructionClass.LOAD,
        "ldr x1, .": InstructionClass.LOAD,
        "str x1, [x2]": InstructionClass.STORE,
        "st1 {v0.16b}, [x2]": InstructionClass.STORE,
        "ldadd x1, x2, [x3]": InstructionClass.ATOMIC,
        "cas x1, x2, [x3]": InstructionClass.ATOMIC,
        "add x1, x2, x3": InstructionClass.OTHER,
        "udf #0": InstructionClass.OTHER,
    }
    for raw, (text, expected) in zip(assemble(tmp_path, list(table)), table.items(), strict=True):
        assert insn.classify(raw) is expected, text


def test_brk_comments() -> None:
    assert insn.brk_comment(0xD4202460) == 0x123
    assert insn.brk_comment(0xD4400020) is None


def test_interrupt_masks(tmp_path: Path) -> None:
    touching = [
        "mrs x1, daif",
        "msr daif, x1",
        "msr daifset, #2",
        "msr daifclr, #15",
        "eret",
        "svc #0",
    ]
    others = ["mrs x1, nzcv", "msr spsel, #1", "nop", "mrs x1, spsr_el1", "ret", "ldr x1, [x2]"]
    for raw, text in zip(assemble(tmp_path, touching + others), touching + others, strict=True):
        assert insn.touches_interrupt_masks(raw) == (text in touching), text


_disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
_disassembler.detail = True

branch_words = st.one_of(
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 28) - 1).map(lambda n: n | 0x14000000),
    st.integers(0, (1 << 26) - 1).map(lambda n: n | 0x14000000),
    st.integers(0, (1 << 26) - 1).map(lambda n: n | 0x94000000),
    st.integers(0, (1 << 24) - 1).map(lambda n: n | 0x54000000),
    st.integers(0, (1 << 26) - 1).map(lambda n: n | 0x34000000),
    st.integers(0, (1 << 26) - 1).map(lambda n: n | 0xB4000000),
    st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(0, 31), st.integers(0, 31)).map(
        lambda t: 0xD61F0000 | t[0] << 21 | t[1] << 10 | t[2] << 5 | t[3]
    ),
)


@given(branch_words)
def test_branches_agree_with_capstone(raw: int) -> None:
    decoded = next(_disassembler.disasm(raw.to_bytes(4, "little"), PC), None)
    found = insn.branch(raw)
    if decoded is None:
        # BC.cond is newer than this capstone.
        assert found is None or raw & 0xFF000010 == 0x54000010
        return
    name = decoded.mnemonic
    calls = {"bl", "blr", "blraa", "blrab", "blraaz", "blrabz"}
    returns = {"ret", "retaa", "retab"}
    jumps = {"b", "br", "braa", "brab", "braaz", "brabz", "cbz", "cbnz", "tbz", "tbnz"}
    kind = (
        BranchKind.CALL
        if name in calls
        else BranchKind.RETURN
        if name in returns
        else BranchKind.JUMP
        if name in jumps or name.startswith(("b.", "bc."))
        else BranchKind.EXCEPTION_RETURN
        if name in ("eret", "eretaa", "eretab")
        else None
    )
    assert (found.kind if found else None) is kind
    assert insn.is_call(raw) == (kind is BranchKind.CALL)
    assert insn.is_return(raw) == (kind is BranchKind.RETURN)
    if found is None or found.kind is BranchKind.EXCEPTION_RETURN:
        return
    regs: Callable[[str], int] = {f"x{i}": 0x1000 * i for i in range(31)}.__getitem__
    target = found.target(PC, regs)
    operands = decoded.operands
    if name in ("ret", "retaa", "retab"):
        register = decoded.reg_name(operands[0].reg) if operands else "x30"
        assert found.register == {"lr": 30, "fp": 29, "xzr": 31}.get(
            register, int(register[1:]) if register[1:].isdigit() else 30
        )
    elif found.offset is not None:
        assert target == operands[-1].imm & _64
        assert found.conditional == (
            name in ("cbz", "cbnz", "tbz", "tbnz")
            or (name.startswith(("b.", "bc.")) and name[-3:] not in (".al", ".nv"))
        )


@given(st.integers(0, _64))
def test_pac_bits_are_removed(pointer: int) -> None:
    plain = insn.without_pac(pointer)
    assert plain & ((1 << 48) - 1) == pointer & ((1 << 48) - 1)
    assert plain >> 48 == (0xFFFF if pointer >> 55 & 1 else 0)
    assert insn.without_pac(plain) == plain


@given(st.integers(0, (1 << 32) - 1))
def test_any_word_is_accepted(raw: int) -> None:
    """A hostile guest can have any word at the PC: nothing raises."""
    regs: Callable[[str], int] = lambda name: _64  # noqa: E731
    insn.classify(raw)
    for access in insn.accesses(raw, regs):
        assert 0 <= access.address <= _64
        assert access.size > 0
        assert access.is_read or access.is_write
    assert isinstance(insn.touches_interrupt_masks(raw), bool)
