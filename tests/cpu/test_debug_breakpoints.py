"""Breakpoint registers against the model: every field, each way."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2

from .model_debug import KDE, MASK64, MDE, YES, State
from .model_rig import (
    CODE,
    EC_BREAKPOINT,
    ELR_EL1,
    ERET,
    NOP,
    SPSR_EL1,
    VBAR_EL1,
    VECTORS,
    Outcome,
    Rig,
    syndrome,
)

SEED = 20261122
CONTEXT = 0x1234_5678


@pytest.fixture(scope="module")
def rig(tier: str) -> Rig:
    made = Rig()
    made.put(CODE, [NOP] * 16)
    return made


def expect(rig: Rig, state: State, address: int = CODE) -> None:
    """One instruction in this state: a Breakpoint exception where the model has one."""
    rig.set(state)
    rig.p.pc = address
    before = rig.p.pstate
    outcome = rig.run()
    permitted = state.breakpoint(address)
    hit = outcome.to != 0
    assert hit in permitted, f"{outcome}; the model permits a hit: {sorted(permitted)}; {state}"
    if hit:
        target = state.target()
        wanted = Outcome(target, syndrome(EC_BREAKPOINT, state), outcome.far, address, before)
        assert outcome == wanted, f"{outcome} instead of {wanted}; {state}"


def control(
    *,
    bt: int = 0,
    lbn: int = 0,
    ssc: int = 0,
    hmc: int = 0,
    bas: int = 15,
    pmc: int = 3,
    e: int = 1,
) -> int:
    return bt << 20 | lbn << 16 | ssc << 14 | hmc << 13 | bas << 5 | pmc << 1 | e


def test_every_mode_and_byte_select(rig: Rig) -> None:
    """BAS x PMC x HMC x SSC x E at EL0 and EL1, on an address that matches."""
    for el in (0, 1):
        state = rig.state(el=el, mdscr=MDE, tde=True)
        state.bvr[1] = CODE
        for bas, pmc, hmc, ssc, e in itertools.product(
            range(16), range(4), range(2), range(4), range(2)
        ):
            state.bcr[1] = control(bas=bas, pmc=pmc, hmc=hmc, ssc=ssc, e=e)
            expect(rig, state)


def context_targets() -> Iterator[tuple[int, int]]:
    """What a breakpoint may be linked to: (DBGBCR, DBGBVR)."""
    for bt in (0, 2, 3, 8, 9, 10, 11, 13, 15):
        for e in (0, 1):
            for value in (CONTEXT, CONTEXT ^ 0x100, 0x05_0000_0000 | CONTEXT):
                # the mode fields of a context breakpoint that is linked to do not count
                yield control(bt=bt, e=e, pmc=0, bas=0), value


def test_every_type_and_link(rig: Rig) -> None:
    """BT x LBN of an address breakpoint, aware of contexts or not, against every kind of target."""
    for n in (0, 3, 4, 5):
        for target in (4, 5):
            if target == n:
                continue
            for target_control, target_value in context_targets():
                state = rig.state(el=1, mdscr=MDE, tde=True, contextidr=CONTEXT)
                state.bcr[target], state.bvr[target] = target_control, target_value
                state.bvr[n] = CODE
                for bt, lbn in itertools.product(range(16), (0, 3, 4, 5, 6, 15)):
                    state.bcr[n] = control(bt=bt, lbn=lbn)
                    expect(rig, state)


def test_context_breakpoints_of_their_own(rig: Rig) -> None:
    """Unlinked context, VMID and context-and-VMID breakpoints match at every address; they have
    mode fields; only the highest-numbered breakpoints can be such."""
    for n, bt, el, pmc in itertools.product(range(6), range(16), (0, 1), range(4)):
        for value, vmid in itertools.product(
            (CONTEXT, CONTEXT | 0x7_0000_0000, CONTEXT | 0x1_07_0000_0000, 0x7_0000_0001), (0, 7)
        ):
            state = rig.state(el=el, mdscr=MDE, tde=True, contextidr=CONTEXT, vmid=vmid)
            state.bcr[n], state.bvr[n] = control(bt=bt, pmc=pmc, bas=15), value
            expect(rig, state, CODE + 8)


def test_every_bit_of_a_context(rig: Rig) -> None:
    """Of CONTEXTIDR_EL1 32 count, of the VMID eight; of DBGBVR those that are there for them."""
    for bt, bit in itertools.product((2, 8, 10), range(64)):
        for value in (CONTEXT | 0x5A << 32, (CONTEXT | 0x5A << 32) ^ 1 << bit):
            state = rig.state(el=1, mdscr=MDE, tde=True, contextidr=CONTEXT, vmid=0x5A)
            state.bcr[5], state.bvr[5] = control(bt=bt), value
            expect(rig, state, CODE + 8)


def test_all_combinations(rig: Rig) -> None:
    """BT and LBN x BAS x HMC x SSC x PMC, of a breakpoint that is aware of contexts and of one that
    is not, at EL0 and EL1, with PSTATE.D, MDE, KDE, TDE and the OS Lock each way."""
    hits = 0
    linked = ((1, 4), (1, 5))
    contexts = [(bt, 4) for bt in (2, 3, 8, 9, 10, 11)]
    for el, d, mde, kde, tde, lock in itertools.product(*[(0, 1)] * 6):
        s = rig.state(
            el=el,
            d=bool(d),
            mdscr=mde * MDE | kde * KDE,
            tde=bool(tde),
            os_lock=bool(lock),
            contextidr=CONTEXT,
            vmid=7,
        )
        for n, kinds in ((1, [(0, 0), *linked]), (5, [(0, 0), (1, 4), *contexts])):
            for (bt, lbn), bas, hmc, ssc, pmc in itertools.product(
                kinds, (15, 3, 12), range(2), range(4), range(4)
            ):
                if bt > 1 and bas != 15:
                    continue  # context breakpoints have no BAS
                s.bcr[4], s.bvr[4] = control(bt=3, pmc=0), CONTEXT
                s.bcr[5], s.bvr[5] = control(bt=11, pmc=0), CONTEXT | 8 << 32  # another VMID
                s.bcr[n] = control(bt=bt, lbn=lbn, bas=bas, hmc=hmc, ssc=ssc, pmc=pmc)
                s.bvr[n] = CODE if bt < 2 else CONTEXT | 7 << 32
                hits += s.breakpoint(CODE) == YES
                expect(rig, s)
            s.bcr[n] = 0
    assert hits > 800


def test_every_way_to_enable_and_route(rig: Rig) -> None:
    """EL, PSTATE.D, MDE, KDE, TDE, OS Lock, OS Double Lock and its override."""
    for el, d, mde, kde, tde, lock, double, override in itertools.product(*[(0, 1)] * 8):
        state = rig.state(
            el=el,
            d=bool(d),
            mdscr=mde * MDE | kde * KDE,
            tde=bool(tde),
            os_lock=bool(lock),
            double_lock=bool(double),
            no_powerdown=bool(override),
        )
        for n in range(6):
            state.bcr[n], state.bvr[n] = control(), CODE
            expect(rig, state)
            state.bcr[n] = 0


def test_every_bit_of_the_address_counts(rig: Rig) -> None:
    state = rig.state(el=1, mdscr=MDE, tde=True)
    state.bcr[0] = control()
    for tbi in ((False, False), (True, False), (False, True), (True, True)):
        state.tbi = tbi
        for bit in range(64):
            state.bvr[0] = CODE ^ 1 << bit
            expect(rig, state)
        for k in range(-4, 8):
            state.bvr[0] = CODE + 16 + k & MASK64
            expect(rig, state, CODE + 16)


def test_tags_do_not_get_into_the_pc(rig: Rig) -> None:
    """However the PC gets a tagged address, where tags are ignored it is canonical, and breakpoints
    match; where they are not ignored the address is another one."""
    tag = 0x5A << 56
    p = rig.p
    branch = CODE + 0x200
    for tbi, value, how in itertools.product(
        (False, True), (CODE, CODE | 0x33 << 56), ("run", "br", "blr", "ret", "eret", "vector")
    ):
        state = rig.state(el=1, mdscr=MDE, tde=True, tbi=(tbi, tbi))
        state.bcr[3], state.bvr[3] = control(), value
        if how == "vector":
            state.bvr[3] += VECTORS + 0x200 - CODE
        rig.set(state)
        words = {"br": 0xD61F0060, "blr": 0xD63F0060, "ret": 0xD65F0060, "eret": ERET, "vector": 0}
        rig.code(branch, [words.get(how, NOP)])
        p.set_x(3, CODE | tag)
        p.set_sysreg(ELR_EL1, CODE | tag)
        p.set_sysreg(SPSR_EL1, 0x3C5)
        p.set_sysreg(VBAR_EL1, VECTORS | tag)
        p.pc = CODE | tag if how == "run" else branch
        reason = p.run(p.instructions + 2)
        p.set_sysreg(VBAR_EL1, VECTORS)
        if tbi:
            assert reason == EXIT_EL2
            assert p.esr_el2 == syndrome(EC_BREAKPOINT, state)
            assert p.pc == state.bvr[3] & MASK64 >> 8
        else:
            assert p.pc >> 56 == 0x5A


@pytest.mark.parametrize(("breakpoints", "aware"), [(2, 1), (4, 4), (6, 2), (16, 1), (16, 5)])
def test_random_registers(breakpoints: int, aware: int) -> None:
    """All registers at once, every field random but weighted towards what can match."""
    rig = Rig(breakpoints=breakpoints, context_aware=aware)
    rig.put(CODE, [NOP] * 16)
    rng = random.Random(SEED + breakpoints * 100 + aware)
    first = breakpoints - aware
    hits = 0
    for _ in range(4000):
        s = rig.state(
            el=rng.randrange(2),
            d=rng.random() < 0.3,
            mdscr=(rng.random() < 0.9) * MDE | (rng.random() < 0.7) * KDE,
            tde=rng.random() < 0.6,
            os_lock=rng.random() < 0.05,
            double_lock=rng.random() < 0.05,
            no_powerdown=rng.random() < 0.5,
            contextidr=rng.choice((CONTEXT, 0, 0xFFFFFFFF)),
            vmid=rng.choice((0, 7)),
            tbi=(rng.random() < 0.5, rng.random() < 0.5),
        )
        for n in range(breakpoints):
            if rng.random() < 0.5:
                continue
            is_context = n >= first and rng.random() < 0.6
            s.bcr[n] = control(
                bt=rng.choice((2, 3, 3, 3, 8, 9, 10, 11)) if is_context else rng.choice((0, 1, 1)),
                lbn=rng.randrange(first, breakpoints) if rng.random() < 0.95 else rng.randrange(16),
                ssc=rng.choice((0, 0, 0, 1, 2, 3)),
                hmc=rng.random() < 0.1,
                bas=rng.choice((15, 15, 3, 12, rng.randrange(16))),
                pmc=rng.choice((1, 2, 3, 3)),
                e=rng.random() < 0.9,
            )
            if rng.random() < 0.03:
                s.bcr[n] = rng.getrandbits(24)
            if is_context:
                s.bvr[n] = rng.choice((CONTEXT, 0)) | rng.choice((0, 7)) << 32
            else:
                s.bvr[n] = CODE + 4 * rng.randrange(3) | (rng.random() < 0.1) << 56 + rng.randrange(
                    8
                )
        address = CODE + 4 * rng.randrange(3)
        hits += s.breakpoint(address) == YES
        expect(rig, s, address)
    assert hits > 100, "too few of these cases hit for the test to mean anything"
