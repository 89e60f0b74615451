"""The assembler is compared with the GNU assembler, for every function that it has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.check import assembler as asm

#: A word of this assembler, and the same instruction for the GNU assembler.
SAME: list[tuple[int, str]] = [
    (asm.movz(3, 0xBEEF, 32), "movz x3, #0xbeef, lsl #32"),
    (asm.movk(30, 1, 48), "movk x30, #1, lsl #48"),
    (asm.add(31, 2, 0xFFF), "add sp, x2, #0xfff"),
    (asm.sub(1, 31, 16), "sub x1, sp, #16"),
    (asm.subs(1, 2, 3), "subs x1, x2, #3"),
    (asm.cmp(9, 7), "cmp x9, #7"),
    (asm.add_reg(1, 2, 3), "add x1, x2, x3"),
    (asm.subs_reg(1, 2, 3), "subs x1, x2, x3"),
    (asm.and_reg(1, 2, 3), "and x1, x2, x3"),
    (asm.orr_reg(1, 31, 3), "mov x1, x3"),
    (asm.eor_reg(1, 2, 3), "eor x1, x2, x3"),
    (asm.madd(1, 2, 3, 4), "madd x1, x2, x3, x4"),
    (asm.madd(1, 2, 3), "mul x1, x2, x3"),
    (asm.udiv(1, 2, 3), "udiv x1, x2, x3"),
    (asm.lslv(1, 2, 3), "lsl x1, x2, x3"),
    (asm.csel(1, 2, 3, asm.CONDITIONS["lt"]), "csel x1, x2, x3, lt"),
    (asm.adr(5, 0x1233), "adr x5, .+0x1233"),
    (asm.adr(5, -5), "adr x5, .-5"),
    (asm.fmov_from_x(1, 2), "fmov d1, x2"),
    (asm.fmov_to_x(1, 2), "fmov x1, d2"),
    (asm.fadd(1, 2, 3), "fadd d1, d2, d3"),
    (asm.b(-8), "b .-8"),
    (asm.bl(0x100), "bl .+0x100"),
    *((asm.b_cond(c, 12), f"b.{c} .+12") for c in asm.CONDITIONS),
    (asm.cbz(7, -4), "cbz x7, .-4"),
    (asm.cbnz(7, 4), "cbnz x7, .+4"),
    (asm.tbz(7, 3, 8), "tbz x7, #3, .+8"),
    (asm.tbnz(7, 63, -8), "tbnz x7, #63, .-8"),
    (asm.br(17), "br x17"),
    (asm.blr(17), "blr x17"),
    (asm.ret(17), "ret x17"),
    (asm.RET, "ret"),
    (asm.NOP, "nop"),
    (asm.YIELD, "yield"),
    (asm.WFE, "wfe"),
    (asm.WFI, "wfi"),
    (asm.SEVL, "sevl"),
    (asm.hint(34), "hint #34"),
    (asm.ISB, "isb"),
    (asm.DSB, "dsb sy"),
    (asm.DMB, "dmb sy"),
    (asm.CLREX, "clrex"),
    (asm.ERET, "eret"),
    (asm.svc(0x1234), "svc #0x1234"),
    (asm.hvc(5), "hvc #5"),
    (asm.smc(5), "smc #5"),
    (asm.brk(0xFFFF), "brk #0xffff"),
    (asm.hlt(1), "hlt #1"),
    (asm.udf(9), "udf #9"),
    (asm.msr("MDSCR_EL1", 3), "msr mdscr_el1, x3"),
    (asm.mrs(3, "DBGWVR15_EL1"), "mrs x3, dbgwvr15_el1"),
    (asm.mrs(0, "CNTVCT_EL0"), "mrs x0, cntvct_el0"),
    (asm.daifset(8), "msr daifset, #8"),
    (asm.daifclr(15), "msr daifclr, #15"),
    (asm.str_(1, 2, 8), "str x1, [x2, #8]"),
    (asm.ldr(1, 31, 0x7FF8), "ldr x1, [sp, #0x7ff8]"),
    (asm.stp(1, 2, 3, -512), "stp x1, x2, [x3, #-512]"),
    (asm.ldp(1, 2, 3, 504), "ldp x1, x2, [x3, #504]"),
    (asm.load_literal(3, -16), "ldr x3, .-16"),
    (asm.prefetch(3), "prfm pldl1keep, [x3]"),
    (asm.prefetch(3, 16), "prfm pstl1keep, [x3]"),
    *((asm.dc(name, 4), f"dc {name}, x4") for name in ("ivac", "cvac", "cvau", "civac", "zva")),
    (asm.dc_ivac(1), "dc ivac, x1"),
    (asm.dc_zva(1), "dc zva, x1"),
]

_GNU = {
    "str": "str x", "ldr": "ldr x", "strw": "str w", "ldrw": "ldr w", "ldrsw": "ldrsw x",
    "strh": "strh w", "ldrh": "ldrh w", "ldrsh": "ldrsh x", "ldrshw": "ldrsh w",
    "strb": "strb w", "ldrb": "ldrb w", "ldrsb": "ldrsb x", "ldrsbw": "ldrsb w",
    **{f"{op}_{v}": f"{op} {v}" for op in ("str", "ldr") for v in "bhsdq"},
}  # fmt: skip
_SIZE = {"w": 4, "h": 2, "b": 1, "s": 4, "d": 8, "q": 16}


def _size(name: str) -> int:
    if name == "ldrsw":
        return 4
    kind = re.sub(r"^(str|ldr)_?", "", name)
    return _SIZE.get(kind.removeprefix("s")[:1] if "_" not in name else kind, 8)


for name, gnu in _GNU.items():
    op, kind = gnu.split()
    n = 3 * _size(name)
    SAME += [
        (asm.access(name, 1, 2, n), f"{op} {kind}1, [x2, #{n}]"),
        (asm.access(name, 1, 2, -5, mode="unscaled"), f"{op[:2]}u{op[2:]} {kind}1, [x2, #-5]"),
        (asm.access(name, 1, 2, -9, mode="pre"), f"{op} {kind}1, [x2, #-9]!"),
        (asm.access(name, 1, 2, 255, mode="post"), f"{op} {kind}1, [x2], #255"),
        (asm.access(name, 1, 2, 3, mode="register"), f"{op} {kind}1, [x2, x3]"),
    ]
    if "_" not in name:
        unprivileged = f"{op[:2]}t{op[2:]} {kind}1, [x2, #7]"
        SAME.append((asm.access(name, 1, 2, 7, mode="unprivileged"), unprivileged))

for name, kind, size in (
    ("stp", "x", 8), ("ldp", "x", 8), ("stpw", "w", 4), ("ldpw", "w", 4), ("ldpsw", "x", 4),
    ("stp_s", "s", 4), ("ldp_s", "s", 4), ("stp_d", "d", 8), ("ldp_d", "d", 8),
    ("stp_q", "q", 16), ("ldp_q", "q", 16),
):  # fmt: skip
    op = name if name == "ldpsw" else name[:3]
    SAME += [
        (asm.pair(name, 1, 3, 2, -size), f"{op} {kind}1, {kind}3, [x2, #{-size}]"),
        (asm.pair(name, 1, 3, 2, size, mode="pre"), f"{op} {kind}1, {kind}3, [x2, #{size}]!"),
        (asm.pair(name, 1, 3, 2, size, mode="post"), f"{op} {kind}1, {kind}3, [x2], #{size}"),
    ]
ATOMICS = ("ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp")
SAME += [(asm.pair(n, 1, 3, 2, 16), f"{n} x1, x3, [x2, #16]") for n in ("stnp", "ldnp")]

for size, suffix, kind in ((1, "b", "w"), (2, "h", "w"), (4, "", "w"), (8, "", "x")):
    SAME += [
        (asm.load_exclusive(1, 2, size=size), f"ldxr{suffix} {kind}1, [x2]"),
        (asm.load_exclusive(1, 2, size=size, acquire=True), f"ldaxr{suffix} {kind}1, [x2]"),
        (asm.store_exclusive(4, 1, 2, size=size), f"stxr{suffix} w4, {kind}1, [x2]"),
        (asm.store_exclusive(4, 1, 2, size=size, release=True), f"stlxr{suffix} w4, {kind}1, [x2]"),
        (asm.ordered_load(1, 2, size=size), f"ldar{suffix} {kind}1, [x2]"),
        (asm.ordered_store(1, 2, size=size), f"stlr{suffix} {kind}1, [x2]"),
        (asm.cas(4, 6, 2, size=size), f"cas{suffix} {kind}4, {kind}6, [x2]"),
    ]
    SAME += [
        (asm.atomic(name, 4, 6, 2, size=size), f"{name}{suffix} {kind}4, {kind}6, [x2]")
        for name in ATOMICS
    ]
for size, kind in ((4, "w"), (8, "x")):
    SAME += [
        (asm.load_pair_exclusive(1, 3, 2, size=size), f"ldxp {kind}1, {kind}3, [x2]"),
        (asm.store_pair_exclusive(5, 1, 3, 2, size=size), f"stxp w5, {kind}1, {kind}3, [x2]"),
        (asm.casp(4, 6, 2, size=size), f"casp {kind}4, {kind}5, {kind}6, {kind}7, [x2]"),
    ]
for count in (1, 2, 3, 4):
    vectors = ", ".join(f"v{n}.16b" for n in range(3, 3 + count))
    for op in ("ld", "st"):
        SAME.append((asm.structure(f"{op}1", 3, 2, registers=count), f"{op}1 {{{vectors}}}, [x2]"))
        if count > 1:
            SAME.append((asm.structure(f"{op}{count}", 3, 2), f"{op}{count} {{{vectors}}}, [x2]"))


def test_every_word_is_the_gnu_assemblers(tmp_path: Path) -> None:
    gas = shutil.which("aarch64-linux-gnu-as")
    assert gas, "the tests install it: tools/setup-tests"
    source, built, raw = (tmp_path / name for name in ("a.s", "a.o", "a.bin"))
    source.write_text(".arch armv8.2-a\n" + "".join(f"{text}\n" for _, text in SAME))
    subprocess.run([gas, "-o", built, source], check=True)
    subprocess.run(
        ["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", built, raw], check=True
    )
    data = raw.read_bytes()
    assert len(data) == 4 * len(SAME)
    theirs = [int.from_bytes(data[n : n + 4], "little") for n in range(0, len(data), 4)]
    wrong = [
        f"{text}: {ours:#010x}, not {word:#010x}"
        for (ours, text), word in zip(SAME, theirs, strict=True)
        if ours != word
    ]
    assert not wrong


def test_the_whole_repertoire_is_compared() -> None:
    """Every function of the assembler that makes words is tested above."""
    source = Path(__file__).read_text().partition("def test_every")[0]
    parts = {
        "AssemblerError", "Code", "Fixup", "Item", "Label", "access", "assemble", "flat", "label",
        "mov", "CONDITIONS",
    }  # fmt: skip
    assert not [n for n in asm.__all__ if n not in parts and not re.search(rf"asm\.{n}\b", source)]


@pytest.mark.parametrize(
    "value", [0, 1, 0xFFFF, 0x10000, 0x40010000, 0xFFFF0000FFFF0000, 2**64 - 1]
)
def test_mov_builds_the_value(value: int) -> None:
    built = 0
    for word in asm.mov(5, value):
        shift = (word >> 21 & 3) * 16
        assert word & 31 == 5
        built = built & ~(0xFFFF << shift) | (word >> 5 & 0xFFFF) << shift
    assert built == value


def test_labels() -> None:
    code = asm.assemble(
        0x1000, asm.label("top"), asm.NOP, asm.mov(1, 0x12345678), asm.b("end"), asm.cbz(3, "top"),
        asm.label("end"), asm.NOP,
    )  # fmt: skip
    assert code["top"] == 0x1000
    assert code["end"] == 0x1014
    assert code.words[3] == asm.b(8)
    assert code.words[4] == asm.cbz(3, -16)
    assert code.at(2) == 0x1008
    assert code.end == 0x1018
    assert len(code.data) == 24


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: asm.add(0, 0, 0x1000),
        lambda: asm.add(32, 0, 0),
        lambda: asm.ldr(0, 1, 4),
        lambda: asm.ldr(0, 1, -8),
        lambda: asm.ldp(0, 1, 2, 512),
        lambda: asm.b(2),
        lambda: asm.b(1 << 27),
        lambda: asm.movz(0, 1, 8),
        lambda: asm.adr(0, 1 << 20),
        lambda: asm.casp(1, 2, 3),
        lambda: asm.cas(1, 2, 3, size=3),
        lambda: asm.load_exclusive(1, 2, size=16),
        lambda: asm.structure("ld3", 1, 2, registers=2),
        lambda: asm.pair("stnp", 1, 2, 3, mode="pre"),
        lambda: asm.assemble(0, asm.b("nowhere")),
        lambda: asm.assemble(0, asm.label("a"), asm.label("a")),
        lambda: asm.assemble(0)["a"],
        lambda: asm.mov(0, -1),
    ],
)
def test_what_does_not_fit_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(asm.AssemblerError):
        wrong()
