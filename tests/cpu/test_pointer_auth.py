"""Pointer authentication against Arm's pseudocode: QARMA5, AddPAC, Auth, Strip; traps and keys.

QEMU judges the instructions as well (test_extensions_qemu.py), but with one size of addresses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.cpu import qarma
from tests.cpu.extensions import HCR_API, HCR_APK, give, take
from tests.cpu.system_support import (
    CODE,
    DONE,
    IL,
    NOP,
    UNDEFINED,
    One,
    Outcome,
    mrs,
    msr,
    syndrome,
)

ONES = (1 << 64) - 1
KEYS = ("IA", "IB", "DA", "DB", "GA")
ENABLED = {"IA": 1 << 31, "IB": 1 << 30, "DA": 1 << 27, "DB": 1 << 13}
TBI0, TBI1, HPD0, TBID0, TBID1 = 1 << 37, 1 << 38, 1 << 41, 1 << 51, 1 << 52
PAC_TRAP = Outcome("el2", 0x09 << 26 | IL)

# ---- ComputePAC, as the pseudocode has it: cell by cell -----------------------------------------

SUBSTITUTION = (11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10)
SHUFFLE = (13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15)
ROUND_CONSTANTS = (
    0, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89, 0x452821E638D01377,
)  # fmt: skip
ALPHA = 0xC0AC29B7C97C50DD


def cells(value: int) -> list[int]:
    return [value >> 4 * n & 15 for n in range(16)]


def number(some: list[int]) -> int:
    return sum(cell << 4 * n for n, cell in enumerate(some))


def sub(value: int) -> int:
    return number([SUBSTITUTION[cell] for cell in cells(value)])


def inv_sub(value: int) -> int:
    return number([SUBSTITUTION.index(cell) for cell in cells(value)])


def shuffle(value: int) -> int:
    return number([cells(value)[n] for n in SHUFFLE])


def inv_shuffle(value: int) -> int:
    return number([cells(value)[SHUFFLE.index(n)] for n in range(16)])


def rotate(cell: int, amount: int) -> int:
    return (cell << amount | cell >> 4 - amount) & 15


def mult(value: int) -> int:
    found = [0] * 16
    for n in range(4):
        s0, s4, s8, s12 = cells(value)[n::4]
        found[n + 12] = rotate(s8, 1) ^ rotate(s4, 2) ^ rotate(s0, 1)
        found[n + 8] = rotate(s12, 1) ^ rotate(s4, 1) ^ rotate(s0, 2)
        found[n + 4] = rotate(s12, 2) ^ rotate(s8, 1) ^ rotate(s0, 1)
        found[n] = rotate(s12, 1) ^ rotate(s8, 2) ^ rotate(s4, 1)
    return number(found)


def tweak_shuffle(value: int) -> int:
    def turn(cell: int) -> int:
        return cell >> 1 | ((cell ^ cell >> 1) & 1) << 3

    c = cells(value)
    return number(
        [
            c[4], c[5], turn(c[6]), c[7], turn(c[11]), c[2], c[3], turn(c[8]), c[12], c[13], c[14],
            turn(c[15]), turn(c[0]), c[1], turn(c[10]), turn(c[9]),
        ]
    )  # fmt: skip


def compute_pac(data: int, modifier: int, key0: int, key1: int) -> int:
    modk0 = (key0 & 1) << 63 | key0 >> 2 << 1 | (key0 >> 63 ^ key0 >> 1 & 1)
    mods = [modifier]
    value = data ^ key0
    for n in range(5):
        value ^= key1 ^ mods[n] ^ ROUND_CONSTANTS[n]
        if n > 0:
            value = mult(shuffle(value))
        value = sub(value)
        mods.append(tweak_shuffle(mods[n]))
    value = sub(mult(shuffle(value ^ modk0 ^ mods[5])))
    value = mult(shuffle(value)) ^ key1
    value = mult(inv_sub(inv_shuffle(value)))
    value = inv_shuffle(value) ^ key0 ^ mods[5]
    for n in range(5):
        value = inv_sub(value)
        if n < 4:
            value = inv_shuffle(mult(value))
        value ^= key1 ^ mods[4 - n] ^ ROUND_CONSTANTS[4 - n] ^ ALPHA
    return value ^ modk0


def test_the_papers_vector() -> None:
    """Avanzi, The QARMA Block Cipher Family, appendix: QARMA-64 with sigma2 and r = 5."""
    vector = 0xFB623599DA6E8127, 0x477D469DEC0B8762, 0x84BE85CE9804E94B, 0xEC2802D4E0A488E9
    assert compute_pac(*vector) == qarma.compute(*vector) == 0xC003B93999B33765


def test_tables_compute_what_cells_do() -> None:
    rng = random.Random(1)
    corners = (0, ONES, 1, 1 << 63, 0xF << 36)
    for n in range(3000):
        case = [rng.getrandbits(64) if n > 600 else rng.choice(corners) for _ in range(4)]
        assert qarma.compute(*case) == compute_pac(*case)


# ---- AddPAC, Auth, Strip ------------------------------------------------------------------------


@dataclass
class Regime:
    tcr: int
    ttst: bool

    def bottom(self, upper: int) -> int:
        """CalculateBottomPACBit()"""
        using64k = self.tcr >> 30 & 3 == 3 if upper else self.tcr >> 14 & 3 == 1
        tsz = self.tcr >> (16 if upper else 0) & 63
        most = 39 if not self.ttst else 47 if using64k else 48
        return 64 - min(max(tsz, 16), most)

    def tbi(self, upper: int, data: bool) -> bool:
        """CalculateTBI()"""
        ignored, code_counts = (TBI1, TBID1) if upper else (TBI0, TBID0)
        return bool(self.tcr & ignored and (data or not self.tcr & code_counts))

    def extend(self, ptr: int, selected: int, tbi: bool) -> int:
        bottom = self.bottom(selected)
        low = ptr & (1 << bottom) - 1
        ones = (1 << 64 - bottom) - 1 if selected else 0
        if tbi:
            return ptr >> 56 << 56 | (ones << bottom & (1 << 56) - 1) | low
        return (ones << bottom | low) & ONES

    def add(self, ptr: int, code: object, data: bool) -> int:
        tbi = self.tbi(ptr >> 55 & 1, data)
        tagged = self.tbi(1, data) or self.tbi(0, data)
        selected = ptr >> (55 if tagged else 63) & 1
        bottom, top = self.bottom(selected), 55 if tbi else 63
        pac = code(self.extend(ptr, selected, tbi))  # type: ignore[operator]
        field = ptr >> bottom & (1 << top - bottom + 1) - 1
        if field not in (0, (1 << top - bottom + 1) - 1):
            pac ^= 1 << top - 1
        middle = pac >> bottom & (1 << 55 - bottom) - 1
        high = ptr >> 56 if tbi else pac >> 56
        return high << 56 | selected << 55 | middle << bottom | ptr & (1 << bottom) - 1

    def auth(self, ptr: int, code: object, data: bool, number: int) -> int:
        selected = ptr >> 55 & 1
        tbi, bottom = self.tbi(selected, data), self.bottom(selected)
        original = self.extend(ptr, selected, tbi)
        pac = code(original)  # type: ignore[operator]
        good = (pac ^ ptr) >> bottom & (1 << 55 - bottom) - 1 == 0
        if not tbi:
            good = good and pac >> 56 == ptr >> 56
        if good:
            return original
        error, low = (2 if number else 1), (53 if tbi else 61)
        return original & ~(3 << low) | error << low


def pointer(rng: random.Random) -> int:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.getrandbits(64)
    value = rng.getrandbits(rng.choice((16, 25, 39, 48, 52)))
    if kind == 1:
        value = ONES ^ value
    if kind == 2:
        value |= rng.getrandbits(8) << 56
    if kind == 3:
        value ^= 1 << 55
    return value


def setup(one: One, rng: random.Random) -> tuple[Regime, dict[str, tuple[int, int]]]:
    ttst = rng.random() < 0.5
    (give if ttst else take)(one.p, "TTST")
    tcr = (
        rng.choice((16, 17, 25, 32, 39, 40, 45, 47, 48, 60, 0))
        | rng.choice((16, 25, 39, 48, 50)) << 16
    )
    tcr |= rng.randrange(3) << 14 | rng.randrange(1, 4) << 30
    tcr |= sum(bit for bit in (TBI0, TBI1, TBID0, TBID1) if rng.random() < 0.5)
    one.set("TCR_EL1", tcr)
    keys = {}
    for key in KEYS:
        keys[key] = rng.getrandbits(64), rng.getrandbits(64)
        one.set(f"AP{key}KEYHI_EL1", keys[key][0])
        one.set(f"AP{key}KEYLO_EL1", keys[key][1])
    return Regime(tcr, ttst), keys


@pytest.fixture(scope="module")
def one(tier: str) -> One:
    it = One()
    give(it.p, "QARMA5", "PACGA_QARMA5")
    it.p.hcr_el2 = 1 << 31 | HCR_API | HCR_APK
    it.set("SCTLR_EL1", 0x00C5_0078 | sum(ENABLED.values()))
    return it


def one_source(opcode: int, rn: int = 1) -> int:
    """PACIA and so on: X0, Xn."""
    return 0xDAC1_0000 | opcode << 10 | rn << 5


def test_signing_and_authenticating(one: One) -> None:
    """All ranges, sizes, granules and ways of ignoring tags; pointers of all kinds."""
    rng = random.Random(2)
    good = 0
    for n in range(1500):
        if n % 5 == 0:
            regime, keys = setup(one, rng)
        number = rng.randrange(4)
        key = KEYS[number]
        ptr, modifier = pointer(rng), rng.choice((0, rng.getrandbits(64)))

        def code(value: int) -> int:
            return compute_pac(value, modifier, *keys[key])  # noqa: B023

        signed = regime.add(ptr, code, number >= 2)
        one.p.set_x(0, ptr)
        one.p.set_x(1, modifier)
        assert (
            one.execute(one_source(number if modifier else number | 8, 1 if modifier else 31))
            == DONE
        )
        assert one.p.get_x(0) == signed, (hex(ptr), regime, key)
        # what was signed, or something else
        wrong = rng.random() < 0.3
        attempt = signed ^ 1 << rng.randrange(64) if wrong else signed
        one.p.set_x(0, attempt)
        word = one_source((number if modifier else number | 8) + 4, 1 if modifier else 31)
        assert one.execute(word) == DONE
        assert one.p.get_x(0) == regime.auth(attempt, code, number >= 2, number & 1)
        good += one.p.get_x(0) == ptr
        # without the key
        data = number >= 2
        one.p.set_x(0, attempt)
        assert one.execute(0xDAC1_43E0 | data << 10) == DONE
        upper = attempt >> 55 & 1
        assert one.p.get_x(0) == regime.extend(attempt, upper, regime.tbi(upper, data))
    assert good > 200


def test_generic(one: One) -> None:
    rng = random.Random(3)
    _, keys = setup(one, rng)
    for _ in range(100):
        value, modifier = rng.getrandbits(64), rng.getrandbits(64)
        one.p.set_x(1, value)
        one.p.set_x(2, modifier)
        assert one.execute(0x9AC2_3020) == DONE
        assert one.p.get_x(0) == compute_pac(value, modifier, *keys["GA"]) >> 32 << 32


def test_the_implementation_defined_algorithm() -> None:
    """Also authenticates what it signed, and depends on every operand. Its values do not change:
    snapshots contain them."""
    it = One()
    give(it.p, "PACIMP", "PACGA_IMP")
    it.p.hcr_el2 = 1 << 31 | HCR_API | HCR_APK
    it.set("SCTLR_EL1", 0x00C5_0078 | sum(ENABLED.values()))
    it.set("TCR_EL1", 16 | 16 << 16)
    codes = set()
    for key, ptr, modifier in [(0, 8, 0)] + [
        (k, 1 << n, 1 << n) for k in (0, 5) for n in range(40)
    ]:
        it.set("APIAKEYLO_EL1", key)
        for modified in (modifier, modifier + 1):
            it.p.set_x(0, ptr)
            it.p.set_x(1, modified)
            it.execute(one_source(0))
            signed = it.p.get_x(0)
            assert signed & (1 << 48) - 1 == ptr
            codes.add(signed >> 48)
            it.execute(one_source(4))
            assert it.p.get_x(0) == ptr
            it.p.set_x(0, signed ^ 1 << 50)
            it.execute(one_source(4))
            assert it.p.get_x(0) == ptr | 1 << 61
    assert len(codes) > 140
    it.p.set_x(1, 0x0123_4567_89AB_CDEF)
    it.p.set_x(2, 0xFEDC_BA98_7654_3210)
    it.execute(0x9AC2_3020)
    assert it.p.get_x(0) == 577553572372152320


# ---- enabling, traps, absence -------------------------------------------------------------------

SIGN_AND_AUTH = [(one_source(n), KEYS[n & 3]) for n in range(8)] + [
    (one_source(n | 8, 31), KEYS[n & 3]) for n in range(8)
]
HINTS = {8: "IA", 10: "IB", 12: "IA", 14: "IB"} | {
    n: "IAIB"[n & 2 : (n & 2) + 2] for n in range(24, 32)
}
BRANCHES = [  # to X0: BRAA, BRAAZ, BLRAA, BLRAAZ; RETAA
    (0xD71F_0801 | b << 10, KEYS[b]) for b in (0, 1)
] + [(0xD61F_081F | b << 10, KEYS[b]) for b in (0, 1)] + [
    (0xD73F_0801 | b << 10, KEYS[b]) for b in (0, 1)
] + [(0xD63F_081F | b << 10, KEYS[b]) for b in (0, 1)] + [
    (0xD65F_0BFF | b << 10, KEYS[b]) for b in (0, 1)
]  # fmt: skip
LOADS = [(0xF820_0400 | b << 23, KEYS[2 + b]) for b in (0, 1)]
ERETS = [(0xD69F_0BFF | b << 10, KEYS[b]) for b in (0, 1)]
ALL = (
    SIGN_AND_AUTH
    + [(0xD503_201F | n << 5, key) for n, key in HINTS.items()]
    + BRANCHES
    + LOADS
    + ERETS
)


@pytest.mark.parametrize(
    ("word", "key"), ALL, ids=lambda it: it if isinstance(it, str) else f"{it:#x}"
)
def test_enabled_and_trapped(word: int, key: str) -> None:
    """Trapped to EL2 where HCR_EL2.API is clear and the key enabled; otherwise a plain one."""
    it = One()
    give(it.p, "QARMA5")
    for el in (1, 0):
        for enabled in (
            0,
            ENABLED[key],
            sum(ENABLED.values()) & ~ENABLED[key],
            sum(ENABLED.values()),
        ):
            it.set("SCTLR_EL1", 0x00C5_0078 | enabled)
            it.set("ELR_EL1", 0x4000_0004)
            it.set("SPSR_EL1", 0x3C5)
            it.p.hcr_el2 = 1 << 31
            loads = word in [w for w, _ in LOADS]
            it.p.set_x(0, 0x4000_0008 if loads else 0x4000_0004)
            it.p.set_x(30, 0x4000_0004)
            it.p.set_x(17, 0x4000_0004)
            before = it.p.get_x(0), it.p.get_x(17), it.p.get_x(30)
            want = PAC_TRAP if enabled & ENABLED[key] else DONE
            if word in [w for w, _ in ERETS] and el == 0:
                want = UNDEFINED
            assert it.execute(word, el=el) == want
            link = word >> 21 & 7 == 1 and word >> 25 == 0x6B  # BLRAA
            if not link and not loads:
                assert (it.p.get_x(0), it.p.get_x(17), it.p.get_x(30)) == before


def test_a_wrong_code_is_no_address() -> None:
    """A branch faults at its target, a load at its address; ELR and FAR have the error code."""
    it = One()
    give(it.p, "QARMA5")
    it.p.hcr_el2 = 1 << 31 | HCR_API | HCR_APK
    it.set("SCTLR_EL1", 0x00C5_0078 | sum(ENABLED.values()))
    for b in (0, 1):
        it.p.set_x(0, 0x4000_1000)
        it.store32(CODE, [0xD61F_081F | b << 10])
        it.memory.code_changed(CODE, 4)
        it.p.pc = CODE
        it.p.run(it.p.instructions + 2)
        assert it.get("ELR_EL1") == it.get("FAR_EL1") == 0x4000_1000 | (2 if b else 1) << 61
        assert it.get("ESR_EL1") >> 26 == 0x21
        it.p.set_x(0, 0x4000_1000)
        assert it.execute(0xF820_0400 | b << 23, el=1).where == "el1"
        assert it.get("FAR_EL1") == 0x4000_1000 | (2 if b else 1) << 61
        assert it.get("ESR_EL1") >> 26 == 0x25


def test_pacga_is_trapped_and_needs_no_enabling() -> None:
    it = One()
    give(it.p, "PACGA_QARMA5")
    it.p.hcr_el2 = 1 << 31
    for el in (0, 1):
        assert it.execute(0x9AC2_3020, el=el) == PAC_TRAP
    it.p.hcr_el2 |= HCR_API
    assert it.execute(0x9AC2_3020, el=0) == DONE
    assert it.execute(one_source(0), el=1) == UNDEFINED  # APA and API are 0


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_trapped_by_apk(key: str) -> None:
    it = One()
    give(it.p, "QARMA5")
    for half in ("LO", "HI"):
        name = f"AP{key}KEY{half}_EL1"
        for word in (mrs(2, name), msr(name, 2)):
            it.p.hcr_el2 = 1 << 31 | HCR_API
            assert it.execute(word, el=1) == Outcome("el2", syndrome(word))
            assert it.execute(word, el=0) == UNDEFINED
            it.p.hcr_el2 = 1 << 31 | HCR_APK
            assert it.execute(word, el=1) == DONE
        it.p.set_x(2, 0x1234_5678_9ABC_DEF0)
        it.execute(msr(name, 2))
        it.execute(mrs(3, name))
        assert it.p.get_x(3) == it.get(name) == 0x1234_5678_9ABC_DEF0
        take(it.p, "QARMA5")
        assert it.execute(mrs(3, name), el=1) == UNDEFINED
        give(it.p, "QARMA5")


def test_without_it() -> None:
    """Hints are NOPs, all others UNDEFINED; SCTLR_EL1 and TCR_EL1 have no bits for it."""
    it = One()
    for word, _ in ALL + [(0x9AC2_3020, ""), (0xDAC1_43E0, ""), (0xDAC1_47E0, "")]:
        hint = word & 0xFFFF_F01F == 0xD503_201F
        assert it.execute(word, el=1) == (DONE if hint else UNDEFINED), hex(word)
    it.set("SCTLR_EL1", ONES & ~1)
    assert it.get("SCTLR_EL1") & sum(ENABLED.values()) == 0
    it.set("TCR_EL1", ONES)
    assert it.get("TCR_EL1") & (TBID0 | TBID1) == 0
    assert it.execute(NOP, el=1) == DONE
