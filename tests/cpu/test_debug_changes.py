"""Debug state that changes between and within runs of the same code, which the processor has
decoded and whose pages it has translated long ago."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT

from .model_debug import KDE, MDE, YES, State
from .model_rig import (
    CODE,
    DATA,
    DBGPRCR_EL1,
    DEBUG,
    EC_BREAKPOINT,
    EC_WATCHPOINT,
    ELR_EL1,
    ESR_EL1,
    FAR_EL1,
    ISB,
    NOP,
    OSDLR_EL1,
    OSLAR_EL1,
    SPSR_EL1,
    VECTORS,
    Rig,
    syndrome,
)
from .system_support import enc, msr

SEED = 20261126
CONTEXTS = (0, 0x77)
# Two pieces on two pages: (word, accesses: offset from x1, size, write)
LOOP: list[tuple[int, tuple[int, int, bool] | None]] = [
    (NOP, None),
    (0xF9000022, (0, 8, True)),  # str x2, [x1]
    (0xF9400423, (8, 8, False)),  # ldr x3, [x1, #8]
    (0x91000442, None),  # add x2, x2, #1
    (0xB9400C24, (12, 4, False)),  # ldr w4, [x1, #12]
    (0x39004025, (16, 1, True)),  # strb w5, [x1, #16]
    (0xA9010C22, (16, 16, True)),  # stp x2, x3, [x1, #16]
    (0x8B030042, None),  # add x2, x2, x3
]
START = CODE + 0x1000 - 4 * 4  # four instructions on each page
PCS = [START + 4 * n for n in range(len(LOOP) + 1)]
BACK = 0x14000000 | -len(LOOP) & 0x3FFFFFF


class Loop(Rig):
    def __init__(self) -> None:
        super().__init__()
        self.put(START, [word for word, _ in LOOP] + [BACK])
        self.base = DATA

    def state(self, **changes: object) -> State:
        # Of what the architecture leaves open only this comes up here.
        return super().state(holds_tags=True, **changes)

    def first_event(self, s: State, pc: int, count: int) -> tuple[int, int, int, int | None]:
        """(instructions before it, PC, ESR or 0, FAR) of the first debug exception."""
        for done in range(count):
            at = PCS.index(pc)
            hit = s.breakpoint(pc)
            assert len(hit) == 1
            if hit == YES:
                return done, pc, syndrome(EC_BREAKPOINT, s), None
            access = LOOP[at][1] if at < len(LOOP) else None
            if access:
                offset, size, write = access
                address = self.base + offset
                hit = s.watchpoint(address, size, write=write)
                assert len(hit) == 1
                if hit == YES:
                    far = s.fault_addresses([(address, size)], write=write, privileged=s.el > 0)[1]
                    assert far is not None
                    esr = syndrome(EC_WATCHPOINT, s, DEBUG | write << 6)
                    return done, pc, esr, min(far) if len(far) == 1 else None
            pc = PCS[0] if at == len(LOOP) else pc + 4
        return count, pc, 0, None

    def go(self, s: State, pc: int, count: int) -> int:
        """Run count instructions from pc against the model; returns the PC after them."""
        p = self.p
        p.set_x(1, self.base)
        p.pc = pc
        before = p.instructions
        done, at, esr, far = self.first_event(s, pc, count)
        reason = p.run(before + count)
        where = f"from {pc:#x}, {count} instructions: {s}"
        if not esr:
            assert reason == EXIT_LIMIT, f"ESR {p.esr_el2:#x} at {p.pc:#x}; {where}"
            assert (p.pc, p.instructions - before) == (at, count), f"{p.pc:#x} {where}"
        elif s.target() == 2:
            assert reason == EXIT_EL2, f"no hit of {esr:#x} at {at:#x}; {where}"
            assert (p.pc, p.esr_el2, p.instructions - before) == (at, esr, done), where
            assert far is None or p.far_el2 == far, where
        else:
            assert reason == EXIT_LIMIT
            vector = VECTORS + (0x200 if s.el else 0x400)
            assert p.pc == vector, f"no hit of {esr:#x} at {at:#x}: PC {p.pc:#x}; {where}"
            got = p.get_sysreg(ELR_EL1), p.get_sysreg(ESR_EL1)
            assert got == (at, esr), f"{got}; {where}"
            assert far is None or p.get_sysreg(FAR_EL1) == far, where
        return at


def random_breakpoint(rng: random.Random, n: int) -> tuple[int, int]:
    if rng.random() < 0.4:
        return 0, 0
    pmc = rng.choice((1, 2, 3, 3)) << 1
    if n >= 4 and rng.random() < 0.7:
        kind = rng.choice((2, 3, 3, 10))
        return kind << 20 | 0x1E1 | pmc, rng.choice(CONTEXTS)
    kind, lbn = rng.choice(((0, 0), (0, 0), (1, 4), (1, 5)))
    return kind << 20 | lbn << 16 | 0x1E1 | pmc, rng.choice(
        (*PCS, CODE, CODE + 0x2000, PCS[3] | 0x11 << 56)
    )


def random_watchpoint(rng: random.Random) -> tuple[int, int]:
    if rng.random() < 0.5:
        return 0, 0
    first = rng.randrange(8)
    bas = (0xFF << first) & (0xFF >> rng.randrange(8 - first))
    mask = 0
    value = DATA + 8 * rng.randrange(-1, 5)
    if rng.random() < 0.2:
        bas, mask = 0xFF, rng.choice((3, 4, 5, 12, 16, 20, 21, 25, 31))
        value = value >> mask << mask
    if rng.random() < 0.1:
        value |= 0x11 << 56  # counts only where tags are ignored
    word = mask << 24 | bas << 5 | rng.choice((1, 2, 3)) << 3 | rng.choice((1, 2, 3, 3)) << 1 | 1
    if rng.random() < 0.2:
        word |= 1 << 20 | rng.choice((4, 5)) << 16
    return word, value


def change(rng: random.Random, s: State) -> None:
    """One thing that a hypervisor or a guest changes."""
    what = rng.randrange(11)
    if what < 3:
        n = rng.randrange(6)
        s.bcr[n], s.bvr[n] = random_breakpoint(rng, n)
    elif what < 6:
        n = rng.randrange(4)
        s.wcr[n], s.wvr[n] = random_watchpoint(rng)
    elif what == 6:
        s.mdscr ^= rng.choice((MDE, KDE))
    elif what == 7:
        s.el ^= 1
    elif what == 8:
        s.d = not s.d
    elif what == 9:
        s.contextidr = rng.choice(CONTEXTS)
    elif rng.random() < 0.4:
        s.tde = not s.tde
    elif rng.random() < 0.5:
        s.tbi = (not s.tbi[0], s.tbi[1])
    else:
        s.os_lock = not s.os_lock


# Registers: (control, value); addresses of data are taken from the page in use.
ARMED: dict[str, dict[str, tuple[int, int]]] = {
    "address": {"b1": (0x1E7, PCS[5])},
    "context": {"b4": (2 << 20 | 0x1E7, 0x77)},
    "linked address": {"b5": (3 << 20 | 0x1E1, 0x77), "b0": (1 << 20 | 5 << 16 | 0x1E7, PCS[2])},
    "linked watch": {"b5": (3 << 20 | 0x1E1, 0x77), "w2": (1 << 20 | 5 << 16 | 0x1FFF, 16)},
    "watch": {"w1": (0x1FFF, 8)},
    "page": {"w3": (12 << 24 | 0x1FFF, 0)},
    "everything": {"w0": (31 << 24 | 0x1FFF, 0)},
}
# What one more change lets through: fields of the state, before
HELD_BACK: dict[str, dict[str, object]] = {
    "MDE": {"mdscr": KDE},
    "KDE": {"mdscr": MDE},
    "D": {"d": True},
    "OS Lock": {"os_lock": True},
    "OS Double Lock": {"double_lock": True},
    "CONTEXTIDR": {"contextidr": 0x78},
    "registers": {},
}


@pytest.mark.parametrize("page", [0, 1, 127, 128, 150])
@pytest.mark.parametrize("defer_sigint", HELD_BACK)
@pytest.mark.parametrize("armed", ARMED)
def test_one_change_after_long_use(armed: str, defer_sigint: str, page: int) -> None:
    """A loop has run for long, all of it decoded and remembered, its data on any page; then one
    thing changes, and the next run sees it; it is undone, and the loop runs as before."""
    if defer_sigint == "CONTEXTIDR" and "link" not in armed and armed != "context":
        return
    rig = Loop()
    rig.base = DATA + page * 0x1000
    for el, tde in ((1, False), (1, True), (0, True), (0, False)) * 2:
        if defer_sigint in ("KDE", "D") and (el, tde) != (1, False):
            continue  # these count where the exception stays at its level

        def run(s: State, *, hit: bool) -> None:
            rig.set(s)
            assert bool(rig.first_event(s, START, 300)[2]) == hit
            rig.go(s, START, 300)

        fields: dict[str, object] = {"el": el, "tde": bool(tde), "contextidr": 0x77}
        fields["mdscr"] = MDE | KDE
        free, loud = rig.state(**fields), rig.state(**fields)
        quiet = rig.state(**(fields | HELD_BACK[defer_sigint]))
        for s in (quiet, loud):
            if s is quiet and defer_sigint == "registers":
                continue
            for name, (control, value) in ARMED[armed].items():
                n = int(name[1])
                if name[0] == "b":
                    s.bcr[n], s.bvr[n] = control, value
                else:
                    s.wcr[n], s.wvr[n] = control, value + rig.base * (armed != "everything")
        for _ in range(3):
            run(free, hit=False)
        run(quiet, hit=False)
        run(quiet, hit=False)
        run(loud, hit=True)
        run(loud, hit=True)
        run(quiet, hit=False)
        run(free, hit=False)
        run(loud, hit=True)


def test_between_runs() -> None:
    """Thousands of small changes; after each the same code runs on, for as long as it takes to the
    next debug exception, and over it."""
    rng = random.Random(SEED)
    rig = Loop()
    s = rig.state(el=1, mdscr=MDE | KDE, tde=True)
    pc, hits = START, 0
    for _ in range(12000):
        if rng.random() < 0.04:
            s = rig.state(el=rng.randrange(2), mdscr=MDE | KDE, tde=True)
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            change(rng, s)
        page = rng.choice((0, 0, 0, 1, 150)) * 0x1000
        rig.base = DATA + page | (0x5A << 56 if s.tbi[0] and rng.random() < 0.5 else 0)
        rig.set(s)
        if rng.random() < 0.3:
            pc = rng.choice(PCS)
        after = rig.go(s, pc, rng.choice((1, 2, 5, 30)))
        stuck = rig.first_event(s, after, 1)[2] != 0
        hits += stuck
        pc = rng.choice(PCS) if stuck else after
    assert hits > 1000, "too few hits for the test to mean anything"


def test_watches_on_a_page_of_code() -> None:
    """Stores to a page with decoded code take a slow path of their own: with watches on that page,
    stores to other places of it, and code that is written over itself."""
    rng = random.Random(SEED + 2)
    rig = Loop()
    p = rig.p
    at, hits = CODE + 0x5000, 0
    nop_str = [NOP, 0xF9000022, 0xF9400023, NOP]  # nop; str x2, [x1]; ldr x3, [x1]; nop
    rig.code(at, nop_str * 32)
    s = rig.state(el=1, mdscr=MDE, tde=True)
    for _ in range(3000):
        if rng.random() < 0.4:
            n = rng.randrange(4)
            s.wcr[n], s.wvr[n] = 0, 0
            if rng.random() < 0.7:
                s.wcr[n] = rng.choice((0xFF, 0x0F, 0xF0)) << 5 | rng.choice((1, 2, 3)) << 3 | 7
                s.wvr[n] = at + 8 * rng.randrange(256)
        rig.set(s)
        target = at + 8 * rng.randrange(256)
        if rng.random() < 0.3 and any(s.wvr):
            target = rng.choice([value for value in s.wvr if value])
        old = rig.ram[target - 0x4000_0000 : target - 0x4000_0000 + 8]
        place = rng.randrange(32)
        p.pc = at + 16 * place
        p.set_x(1, target)
        p.set_x(2, int.from_bytes(old, "little"))  # the same instructions, or nothing
        reason = p.run(p.instructions + 3)
        reads = s.watchpoint(target, 8, write=False) == YES
        writes = s.watchpoint(target, 8, write=True) == YES
        hits += reads or writes
        wanted = at + 16 * place + (4 if writes else 8 if reads else 12)
        assert (reason, p.pc) == (EXIT_EL2 if reads or writes else EXIT_LIMIT, wanted)
        if reads or writes:
            assert p.esr_el2 == syndrome(EC_WATCHPOINT, s, DEBUG | writes << 6)
    assert hits > 300


def test_to_addresses_that_are_no_instructions() -> None:
    """No lookup matches the empty entries of the cache of branch targets."""
    rig = Loop()
    p = rig.p
    rig.set(rig.state(el=1))
    branch = CODE + 0x4000
    rig.code(branch, [0xD61F0060])  # br x3
    for crooked in (1, 2, 3, 5, 4 * 1023 + 1, CODE + 1, CODE + 2, CODE + 3, (1 << 64) - 1):
        for drop in (False, True):
            if drop:
                rig.memory.code_changed(CODE, 0x8000)
            for p.pc, p.pstate in ((crooked, 0x3C5), (branch, 0x3C5), (branch, 0x3C0)):
                p.set_x(3, crooked)
                p.run(p.instructions + 3)
                assert p.get_sysreg(ESR_EL1) == 0x22 << 26 | 1 << 25
                assert p.get_sysreg(ELR_EL1) == p.get_sysreg(FAR_EL1) == crooked


def names(letter: str, count: int) -> tuple[list[int], list[int]]:
    return (
        [enc(f"DBG{letter}CR{n}_EL1") for n in range(count)],
        [enc(f"DBG{letter}VR{n}_EL1") for n in range(count)],
    )


BCR, BVR = names("B", 6)
WCR, WVR = names("W", 4)


def test_by_the_guest_itself() -> None:
    """The guest writes its debug registers, MDSCR_EL1 and CONTEXTIDR_EL1 with MSR, then ISB, and
    goes on into code that has run before: at EL1, debugged by itself or from EL2."""
    rng = random.Random(SEED + 1)
    rig = Loop()
    p = rig.p
    setter = CODE + 0x3000
    rig.set(rig.state(el=1, mdscr=MDE | KDE))
    s = rig.state(el=1, mdscr=MDE | KDE)
    hits = 0
    for round_ in range(4000):
        if rng.random() < 0.05:
            for n in range(6):
                s.bcr[n] = 0
            for n in range(4):
                s.wcr[n] = 0
        writes: list[tuple[int, int]] = []
        for n in range(6):
            if rng.random() < 0.2:
                s.bcr[n], s.bvr[n] = random_breakpoint(rng, n)
            writes += [(BVR[n], s.bvr[n]), (BCR[n], s.bcr[n])]
        for n in range(4):
            if rng.random() < 0.2:
                s.wcr[n], s.wvr[n] = random_watchpoint(rng)
            writes += [(WVR[n], s.wvr[n]), (WCR[n], s.wcr[n])]
        mdscr = rng.choice((MDE | KDE,) * 5 + (MDE, KDE, 0))
        s.contextidr = rng.choice(CONTEXTS)
        # Written with debug exceptions masked, as software must: up to the ISB either value could
        # be in force.
        writes += [(enc("CONTEXTIDR_EL1"), s.contextidr), (enc("MDSCR_EL1"), mdscr)]
        s.mdscr = mdscr
        s.os_lock, s.double_lock = rng.random() < 0.1, rng.random() < 0.1
        s.no_powerdown = rng.random() < 0.5
        writes += [
            (OSLAR_EL1, int(s.os_lock)),
            (OSDLR_EL1, int(s.double_lock)),
            (DBGPRCR_EL1, int(s.no_powerdown)),
        ]
        entry = rng.choice(PCS)
        words: list[int] = []
        registers = range(6, 30)
        # The values are in memory, from x0 on
        table = DATA + 0x2000
        for n, (register, value) in enumerate(writes):
            rig.ram[table - 0x4000_0000 + 8 * n : table - 0x4000_0000 + 8 * n + 8] = value.to_bytes(
                8, "little"
            )
            rt = registers[n % len(registers)]
            words += [0xF9400000 | n << 10 | rt, msr(register, rt)]
        words += [ISB, 0xD50348FF]  # isb; msr daifclr, #8
        here = setter + 4 * len(words)
        words.append(0x14000000 | (entry - here) >> 2 & 0x3FFFFFF)
        # whatever the loop does, nothing in the setter is hit: no breakpoint has its addresses,
        # and context breakpoints are masked by PSTATE.D up to the branch
        rig.code(setter, words)
        p.mdcr_el2 = 0
        p.set_x(1, DATA)
        p.set_x(0, table)
        p.pstate = 0x3C5
        p.pc = setter
        branch_hit = s.breakpoint(here)  # a context breakpoint, at once
        done, at, esr, far = rig.first_event(s, entry, 20)
        if branch_hit == YES:
            at, esr, far = here, syndrome(EC_BREAKPOINT, s), None
        p.run(p.instructions + len(words) + 20)
        where = f"round {round_}, entering at {entry:#x}: {s}"
        if not esr:
            assert p.pc == at, f"{p.pc:#x}, ESR_EL1 {p.get_sysreg(ESR_EL1):#x}; {where}"
            continue
        hits += 1
        assert p.pc == VECTORS + 0x200, f"no hit of {esr:#x} at {at:#x}; PC {p.pc:#x}; {where}"
        got = p.get_sysreg(ELR_EL1), p.get_sysreg(ESR_EL1), p.get_sysreg(SPSR_EL1) & 0x3CF
        assert got == (at, esr, 0x1C5), f"{got}; {where}"
        assert far is None or p.get_sysreg(FAR_EL1) == far, where
        assert done <= 20
    assert hits > 500, "too few hits for the test to mean anything"
