"""Watchpoint registers against the model: every field, every load and store."""

from __future__ import annotations

import itertools
import random

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import encodings

from .model_accesses import (
    BASE,
    COMPARE,
    DATA1,
    DATA2,
    OFFSET,
    OTHER,
    STATUS,
    Form,
    forms,
)
from .model_debug import KDE, MASK64, MDE, NO, State, either
from .model_rig import (
    CODE,
    DATA,
    DEBUG,
    EC_WATCHPOINT,
    RAM,
    SCTLR_EL1,
    SIZE,
    Outcome,
    Rig,
    syndrome,
)

SEED = 20261123
FORMS = forms()
CONTEXT = 0x0BAD_CAFE
BLOCK = 64  # what DC ZVA zeroes: DCZID_EL0.BS is 4

LDRB, STRB = 0x39400000 | BASE << 5 | DATA1, 0x39000000 | BASE << 5 | DATA1
BYTE = {
    False: Form("ldrb", LDRB, "read", 1),
    True: Form("strb", STRB, "write", 1),
}
LDTRB = Form("ldtrb", 0x38400800 | BASE << 5 | DATA1, "read", 1, unprivileged=True)
STTRB = Form("sttrb", 0x38000800 | BASE << 5 | DATA1, "write", 1, unprivileged=True)
LDUR = Form("ldur", 0xF8400000 | BASE << 5 | DATA1, "read", 8)
STUR = Form("stur", 0xF8000000 | BASE << 5 | DATA1, "write", 8)
SWP = next(form for form in FORMS if form.name == "atomic 8 0 8")
ALL = [*FORMS, *BYTE.values(), LDTRB, STTRB, LDUR, STUR]


Raised = tuple[int, range, set[int] | None]  # ESR, what FAR may be, what it is on QEMU


class Watch(Rig):
    """Each form has its own address, so that decoded instructions are used again and again."""

    def __init__(self, *, watchpoints: int = 4, lse: bool = True) -> None:
        super().__init__(watchpoints=watchpoints, lse=lse)
        self.places = {form: CODE + 4 * n for n, form in enumerate(ALL)}
        self.put(CODE, [form.word for form in ALL])
        p = self.p
        p.set_sysreg(SCTLR_EL1, p.get_sysreg(SCTLR_EL1) | 1 << 14 | 1 << 26)  # DZE, UCI
        for n in range(31):
            p.set_x(n, 0x1111_0000_0000_0000 * (n % 14) | 0x5A5A_0000 | n)
        for n in (COMPARE, COMPARE + 1, OFFSET):
            p.set_x(n, 0)
        for n in (OTHER, OTHER + 1):
            p.set_x(n, MASK64)
        self.loaded = [p.get_x(n) for n in range(31)]

    def check(self, s: State, form: Form, address: int) -> bool:
        """One instruction that accesses address: the outcome is one that the model permits."""
        p = self.p
        self.set(s)
        pc = self.places[form]
        for n in (BASE, DATA1, DATA2, STATUS, COMPARE, COMPARE + 1):
            p.set_x(n, self.loaded[n])
        if form.literal:
            here = address - pc
            self.code(pc, [form.word | (here >> 2 & 0x7FFFF) << 5])
        else:
            p.set_x(BASE, address - form.bias & MASK64)
        at = (address & ((1 << s.top(address) + 1) - 1)) - RAM
        window = slice(max(0, at - 64), at + 128)
        if "compare" in form.name or form.name.startswith("cas"):
            self.ram[at : at + 16] = bytes(16)
        memory = self.ram[window]
        registers = [p.get_x(n) for n in range(31)]
        vectors = [p.get_v(n) for n in range(2, 6)]
        before = p.pstate
        p.pc = pc
        outcome = self.run()

        permitted = self.permitted(s, form, address)
        assert outcome.to in permitted_levels(permitted), (
            f"{form.name} at {address:#x}: {outcome}; permitted: {permitted}; {s}"
        )
        if not outcome.to:
            return False
        for wanted, range_, first in permitted[1]:
            if outcome.esr == wanted and outcome.far in range_:
                assert first is None or outcome.far in first, (
                    f"{form.name} at {address:#x}: FAR {outcome.far:#x}, "
                    f"QEMU's {sorted(map(hex, first or ()))}; {s}"
                )
                break
        else:
            raise AssertionError(f"{form.name} at {address:#x}: {outcome}; {permitted}; {s}")
        target = s.target()
        assert outcome == Outcome(target, outcome.esr, outcome.far, pc, before), (
            f"{form.name} at {address:#x}: {outcome}; {s}"
        )
        assert [p.get_x(n) for n in range(31)] == registers, f"{form.name}: registers changed"
        assert [p.get_v(n) for n in range(2, 6)] == vectors, f"{form.name}: vectors changed"
        assert self.ram[window] == memory, f"{form.name}: memory changed"
        return True

    def permitted(self, s: State, form: Form, address: int) -> tuple[bool, list[Raised]]:
        """Whether it may be executed, and the exceptions that may be: (ESR, FAR, QEMU's FAR)."""
        privileged = s.el > 0 and not form.unprivileged
        start, size = address, form.size
        if form.kind in ("zero", "clean"):
            start = address & -BLOCK

        def exception(write: bool, iss: int = 0) -> Raised:
            range_, first = s.fault_addresses([(start, size)], write=write, privileged=privileged)
            if form.kind in ("zero", "clean"):
                # the address that the instruction was given is as good
                range_ = range(range_.start, max(range_.stop, address + 1))
                first = None
            return syndrome(EC_WATCHPOINT, s, DEBUG | write << 6 | iss), range_, first

        def match(write: bool) -> frozenset[bool]:
            return s.watchpoint(start, size, write=write, privileged=privileged)

        if form.kind == "none":
            return True, []
        if form.kind == "read":
            chosen = match(False)
            return False in chosen, [exception(False)] if True in chosen else []
        if form.kind in ("write", "zero"):
            chosen = match(True)
            return False in chosen, [exception(True)] if True in chosen else []
        if form.kind == "clean":
            # DC IVAC may generate watchpoints, and does not where it cleans too (HCR_EL2.DC)
            return True, [exception(True, 1 << 8)] if True in match(True) else []
        if form.kind == "store-exclusive":
            # without the monitor it is IMPLEMENTATION DEFINED which comes first
            return True, [exception(True)] if True in match(True) else []
        reads, writes = match(False), match(True)
        if form.kind == "failed-compare":
            writes = either(writes, NO)
        # One access that reads and writes: WnR is 0 where a read would have been watched; which of
        # several watchpoints FAR is taken from is open.
        loads, stores = exception(False)[2], exception(True)[2]
        first = None if loads is None or stores is None else loads | stores
        out = []
        if True in reads:
            out.append((*exception(False)[:2], first))
        if False in reads and True in writes:
            out.append((*exception(True)[:2], first))
        return False in reads and False in writes, out


def permitted_levels(permitted: tuple[bool, list[Raised]]) -> set[int]:
    return ({0} if permitted[0] else set()) | ({1, 2} if permitted[1] else set())


@pytest.fixture(scope="module")
def rig(tier: str) -> Watch:
    return Watch()


def control(
    *,
    mask: int = 0,
    wt: int = 0,
    lbn: int = 0,
    ssc: int = 0,
    hmc: int = 0,
    bas: int = 0xFF,
    lsc: int = 3,
    pac: int = 3,
    e: int = 1,
) -> int:
    return (
        mask << 24
        | wt << 20
        | lbn << 16
        | ssc << 14
        | hmc << 13
        | bas << 5
        | lsc << 3
        | pac << 1
        | e
    )


def test_every_byte_select(rig: Watch) -> None:
    """All 256 values of BAS, for a doubleword and for a word, at every offset."""
    s = rig.state(el=1, mdscr=MDE, tde=True)
    for value in (DATA + 0x40, DATA + 0x44):
        s.wvr[2] = value
        for bas in range(256):
            s.wcr[2] = control(bas=bas)
            for offset in range(-6, 14):
                rig.check(s, BYTE[bool(offset & 1)], value + offset)
            for offset in (-9, -8, -5, -1, 0, 3, 4, 7, 8):
                rig.check(s, LDUR, value + offset)


def test_every_mask(rig: Watch) -> None:
    """MASK 0 to 31 (1 and 2 are reserved), before, at, in, at the end of and after the range;
    address bits below the mask not zero; BAS not all ones."""
    for mask, bas, low in itertools.product(range(32), (0xFF, 0x0F, 0xFE), (0, 4, 8, 0x300)):
        inside = DATA + 0x8000
        s = rig.state(el=1, mdscr=MDE, tde=True)
        base = inside >> mask << mask
        s.wvr[0], s.wcr[0] = base | low, control(mask=mask, bas=bas)
        for address in (base, base + 4, inside, base + (1 << mask), base + 8):
            for nudge in (-8, -1, 0, 1):
                at = address + nudge
                if at - 8 >= RAM and at + 16 < RAM + SIZE:
                    rig.check(s, BYTE[True], at)
                    rig.check(s, LDUR, at)


def test_every_mode_and_direction(rig: Watch) -> None:
    """PAC x HMC x SSC x LSC x E at EL0 and EL1, privileged and unprivileged loads and stores."""
    for el in (0, 1):
        s = rig.state(el=el, mdscr=MDE, tde=True)
        s.wvr[1] = DATA
        for pac, hmc, ssc, lsc, e in itertools.product(
            range(4), range(2), range(4), range(4), range(2)
        ):
            s.wcr[1] = control(pac=pac, hmc=hmc, ssc=ssc, lsc=lsc, e=e)
            for form in (BYTE[False], BYTE[True], LDTRB, STTRB):
                rig.check(s, form, DATA + 3)


def test_every_link(rig: Watch) -> None:
    """WT and LBN against every kind of breakpoint that it may name."""
    kinds = (0, 1, 2, 3, 8, 9, 10, 11, 13)
    values = (CONTEXT, CONTEXT ^ 1, CONTEXT | 7 << 32)
    for target in (3, 4, 5):
        for bt, e, value, vmid in itertools.product(kinds, (0, 1), values, (0, 7)):
            s = rig.state(el=1, mdscr=MDE, tde=True, contextidr=CONTEXT, vmid=vmid)
            s.bvr[target] = value
            s.bcr[target] = bt << 20 | 0x1E6 * (bt & 1) | e
            s.wvr[3] = DATA
            for wt, lbn in itertools.product((0, 1), (0, 3, 4, 5, 6, 15)):
                s.wcr[3] = control(wt=wt, lbn=lbn)
                if s.breakpoint(rig.places[LDUR]) != NO:
                    continue  # that is another test's
                rig.check(s, LDUR, DATA)


def test_every_way_to_enable_and_route(rig: Watch) -> None:
    for el, d, mde, kde, tde, lock, double, override in itertools.product(*[(0, 1)] * 8):
        s = rig.state(
            el=el,
            d=bool(d),
            mdscr=mde * MDE | kde * KDE,
            tde=bool(tde),
            os_lock=bool(lock),
            double_lock=bool(double),
            no_powerdown=bool(override),
        )
        for n in range(4):
            s.wcr[n], s.wvr[n] = control(), DATA
            rig.check(s, LDUR, DATA - 3)
            rig.check(s, STUR, DATA + 3)
            s.wcr[n] = 0


def test_every_bit_of_the_address_counts(rig: Watch) -> None:
    """Of the value register, and with top-byte-ignore of the access."""
    for tbi in ((False, False), (True, False), (True, True), (False, True)):
        s = rig.state(el=1, mdscr=MDE, tde=True, tbi=tbi)
        s.wcr[0] = control()
        for bit in range(2, 64):
            s.wvr[0] = DATA ^ 1 << bit
            rig.check(s, LDUR, DATA)
        for tag in (0x01, 0x5A, 0x80, 0xFF) if tbi[0] else ():
            for value in (DATA, DATA | 0x5A << 56, DATA | 0x80 << 56, DATA ^ 1 << 40):
                s.wvr[0] = value
                assert rig.check(s, LDUR, DATA - 4 | tag << 56) == (value ^ DATA != 1 << 40)
                rig.check(s, STUR, DATA + 7 | tag << 56)
                rig.check(s, LDUR, DATA + 8 | tag << 56)


def test_the_forms_are_all_that_there_are() -> None:
    """Each row of the decode table that accesses memory has a form here."""
    rows = [row for row in encodings() if row[1] >> 25 & 5 == 5 and row[2] >> 25 & 5 == 4]
    assert len(rows) > 350

    def row_of(word: int) -> tuple[str, int, int]:
        return max((r for r in rows if word & r[1] == r[2]), key=lambda r: r[1].bit_count())

    covered = {row_of(form.word) for form in FORMS if form.word >> 25 & 5 == 4}
    assert {name for name, _, _ in set(rows) - covered} == set()


def test_all_combinations(rig: Watch) -> None:
    """WT and LBN x MASK and BAS x HMC x SSC x PAC x LSC, at EL0 and EL1, privileged and not, with
    PSTATE.D, MDE, KDE, TDE and the OS Lock each way."""
    offsets = (0, 3, 1, 8, -1, 0, 2, 0xFFF, 3, 5, 0)
    number = hits = 0
    for el, d, mde, kde, tde, lock in itertools.product(*[(0, 1)] * 6):
        s = rig.state(
            el=el,
            d=bool(d),
            mdscr=mde * MDE | kde * KDE,
            tde=bool(tde),
            os_lock=bool(lock),
            contextidr=CONTEXT,
        )
        s.bcr[4], s.bvr[4] = 3 << 20 | 0x1E1, CONTEXT
        s.bcr[5], s.bvr[5] = 3 << 20 | 0x1E1, CONTEXT ^ 1
        s.wvr[1] = DATA
        for (wt, lbn), (mask, bas), hmc, ssc, pac, lsc in itertools.product(
            ((0, 0), (1, 4), (1, 5)),
            ((0, 0xFF), (0, 0x0F), (0, 0x08), (3, 0xFF), (12, 0xFF)),
            range(2),
            range(4),
            range(4),
            range(4),
        ):
            s.wcr[1] = control(
                wt=wt, lbn=lbn, mask=mask, bas=bas, hmc=hmc, ssc=ssc, pac=pac, lsc=lsc
            )
            # In turn; 7 and 11 divide no other number here, so that each meets each.
            form = (BYTE[False], BYTE[True], LDTRB, STTRB, LDUR, STUR, SWP)[number % 7]
            hits += rig.check(s, form, DATA + offsets[number % 11] & -form.align)
            number += 1
    assert number == 64 * 3 * 5 * 32 * 4
    assert hits > 1000


def test_every_load_and_store(rig: Watch) -> None:
    """Each form, aligned and not, before, at, across and after ranges of every length."""
    rng = random.Random(SEED)
    hits = cases = 0
    for form in FORMS:
        for _ in range(14 if form.size <= 16 else 24):
            el = 1 if form.el1_only else rng.randrange(2)
            s = rig.state(el=el, mdscr=MDE | KDE, tde=rng.random() < 0.7)
            first, length = rng.randrange(8), rng.randrange(1, 9)
            bas = (1 << min(8, first + length)) - (1 << first)
            n = rng.randrange(4)
            place = DATA + rng.choice((0, 0x100, 0x1000, 0xFF8))
            if rng.random() < 0.25:
                mask = rng.choice((3, 4, 5, 6, 8, 12))
                place, bas = place >> mask << mask, 0xFF
                s.wcr[n] = control(mask=mask, bas=bas, lsc=rng.choice((1, 2, 3, 3)))
            else:
                s.wcr[n] = control(
                    bas=bas, lsc=rng.choice((1, 2, 3, 3)), pac=rng.choice((1, 2, 3, 3))
                )
            s.wvr[n] = place
            low = place + first
            address = rng.choice(
                (
                    low,
                    low - 1,
                    low - form.size,
                    low - form.size + 1,
                    low - rng.randrange(form.size + 1),
                    low + length,
                    low + length - 1,
                    place,
                )
            )
            hits += rig.check(s, form, address & -form.align)
            cases += 1
    assert hits * 4 > cases, "too few of these cases hit for the test to mean anything"


def test_atomics_and_exclusives_by_direction(rig: Watch) -> None:
    """A watch for loads, for stores and for both; a CAS that fails."""
    for form in FORMS:
        if form.kind not in ("atomic", "failed-compare", "store-exclusive"):
            continue
        for lsc in range(4):
            s = rig.state(el=1, mdscr=MDE, tde=True)
            s.wcr[0], s.wvr[0] = control(lsc=lsc, bas=0xF0), DATA
            hit = rig.check(s, form, DATA + 4 & -form.align)
            if form.kind == "atomic" and form.size + (DATA + 4 & -form.align) > DATA + 4:
                assert hit == bool(lsc)


def test_a_store_exclusive_that_would_succeed(rig: Watch) -> None:
    """With the monitor held the watchpoint is hit, and nothing is stored."""
    pairs = [
        (load, store)
        for load in FORMS
        for store in FORMS
        if load.name.split()[:2] == ["ldxr", str(load.size)]
        and store.name.split()[:2] == ["stxr", str(load.size)]
    ]
    assert len(pairs) == 16
    at = CODE + 0x3000
    for (load, store), lsc in itertools.product(pairs, range(4)):
        s = rig.state(el=1, mdscr=MDE, tde=True)
        s.wcr[0], s.wvr[0] = control(lsc=lsc), DATA
        rig.set(s)
        rig.code(at, [load.word, store.word])
        rig.p.set_x(BASE, DATA)
        rig.p.set_x(STATUS, 77)
        rig.p.pc = at
        outcome = rig.run(2)
        if lsc == 0:
            assert outcome.to == 0
            assert rig.p.get_x(STATUS) == 0
        else:
            write = lsc == 2
            pc = at + 4 * write
            assert outcome[:4] == (2, syndrome(EC_WATCHPOINT, s, DEBUG | write << 6), DATA, pc)
            assert rig.p.get_x(STATUS) == 77


@pytest.mark.parametrize("watchpoints", [2, 4, 16])
def test_random_registers(watchpoints: int) -> None:
    """All registers at once, every field random but weighted towards what can match."""
    rig = Watch(watchpoints=watchpoints)
    rng = random.Random(SEED + watchpoints)
    hits = 0
    for _ in range(3000):
        s = rig.state(
            el=rng.randrange(2),
            d=rng.random() < 0.3,
            mdscr=(rng.random() < 0.95) * MDE | (rng.random() < 0.7) * KDE,
            tde=rng.random() < 0.7,
            os_lock=rng.random() < 0.03,
            contextidr=rng.choice((CONTEXT, 0)),
            tbi=(rng.random() < 0.5, rng.random() < 0.5),
        )
        s.bcr[4], s.bvr[4] = 3 << 20 | 0x1E1, CONTEXT
        s.bcr[5], s.bvr[5] = 3 << 20 | 0x1E1, 0
        for n in range(watchpoints):
            if rng.random() < 0.5:
                continue
            s.wvr[n] = DATA + 4 * rng.randrange(-4, 8)
            bas = rng.choice((0xFF, 0xF, 1, 0x80, 0x3C, 0xF0, rng.randrange(256)))
            mask = rng.choice((0, 0, 0, 3, 4, 5, rng.randrange(32)))
            if mask and rng.random() < 0.8:
                bas = 0xFF
                s.wvr[n] = s.wvr[n] >> mask << mask
            s.wcr[n] = control(
                mask=mask,
                wt=rng.random() < 0.3,
                lbn=rng.choice((4, 5, 5, rng.randrange(16))),
                ssc=rng.choice((0, 0, 0, 1, 2, 3)),
                hmc=rng.random() < 0.05,
                bas=bas,
                lsc=rng.choice((1, 2, 3, 3)),
                pac=rng.choice((1, 2, 3, 3)),
                e=rng.random() < 0.9,
            )
            if rng.random() < 0.02:
                s.wcr[n] = rng.getrandbits(29) & 0x1F1FFFFF
        form = rng.choice(FORMS)
        if form.el1_only:
            s.el = 1
        address = DATA + rng.randrange(-24, 40) & -form.align
        if s.tbi[0] and not form.literal:
            address |= rng.randrange(256) << 56
        hits += rig.check(s, form, address)
    assert hits > 150, "too few of these cases hit for the test to mean anything"
