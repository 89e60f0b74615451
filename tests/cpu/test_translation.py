"""Translation: random tables and accesses, judged by the model of model_translation.py.

Every access is one instruction on the processor; what it reads, writes or fetches must be what the
model says is there, or the exception must have the model's syndrome, address and vector, bit for
bit. `scenario(world, seed, choices)` does one seed: a failure's message names it.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.arm64.faults import FaultKind
from guestdbg.arm64.translate import Translation, TranslationFault
from guestdbg.arm64.translate import walk as arm64_walk

from .model_translation import (
    Choices,
    Fault,
    Found,
    How,
    Kind,
    Regime,
    permitted,
    walk,
)
from .support import B_SELF, CODE, DATA, Bench
from .system_support import EL0T, EL1H, TABLES, Paged, enc
from .translation_scenarios import World, make_space, scenario, tries

#: What the processor does where the manual leaves it open.
CHOICES = Choices()

BATCH = 100


@pytest.fixture(scope="module")
def world(tier: str) -> World:
    return World()


@pytest.mark.parametrize("batch", range(10))
def test_random_tables(batch: int) -> None:
    world = World()
    counts: Counter[str] = Counter()
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        counts.update(scenario(world, seed, CHOICES))
    # Not one kind of thing only: all that can come of an access did.
    for kind in ("translation", "address_size", "access_flag", "permission", "alignment"):
        assert any(name.startswith(kind) for name in counts), kind
    for what in ("read", "write", "atomic", "fetch", "maintain", "at", "at fault", "walk"):
        assert counts[what], what
    assert counts["stage 2"]
    assert counts["fetch stage 2"]


def test_the_walk_of_arm64_and_the_processor_agree_with_the_model(world: World) -> None:
    """guestdbg.arm64.translate, by which the debugger reads, and Processor.translate()."""
    compared: Counter[str] = Counter()
    for seed in range(400):
        rng = random.Random(seed)
        space = make_space(world, rng, CHOICES)
        r = space.regime
        if r.hcr:
            continue  # a hypervisor's business, which a walk from outside does not know of
        world.flush()
        for name, value in (("MAIR", r.mair), ("TCR", r.tcr), ("SCTLR", r.sctlr)):
            world.set(f"{name}_EL1", value)
        world.set("TTBR0_EL1", r.ttbr0)
        world.set("TTBR1_EL1", r.ttbr1)
        # An out of range size faults there, and is taken as the nearest by the processor.
        strict = Regime(r.sctlr, r.tcr, r.ttbr0, r.ttbr1, r.mair, 0, Choices(True, True))
        addresses = tries(space, rng)
        for _ in range(20):
            va = next(addresses)
            compared[one_walk(world, strict, va)] += 1
            for el in (0, 1):
                for write in (False, True):
                    found = walk(r, va, world.read_u64)
                    pa = None
                    if isinstance(found, Found):
                        how = How.WRITE if write else How.READ
                        if permitted(found, how, el == 1, r.wxn)[0]:
                            pa = found.pa
                    assert world.p.translate(va, write, el) == pa, f"seed {seed}: {va:#x}"
        world.set("SCTLR_EL1", 0)
    for what in ("found", "translation", "address_size", "access_flag", "permission", "walk"):
        assert compared[what] > 20, compared


def one_walk(world: World, regime: Regime, va: int) -> str:
    """Compares the two walks for one address and all rights; tells what was found."""
    found = walk(regime, va, world.read_u64)

    def read_u64(pa: int) -> int:
        value = world.read_u64(pa)
        if value is None:
            raise LookupError(pa)
        return value

    what = "found"
    for el in (0, 1):
        for access, how in (("read", How.READ), ("write", How.WRITE), ("execute", How.FETCH)):
            expected: Found | Fault = found
            if isinstance(found, Found) and not permitted(found, how, el == 1, regime.wxn)[0]:
                expected = Fault(Kind.PERMISSION, found.level)
                what = "permission"
            tested: Translation | TranslationFault
            try:
                tested = arm64_walk(
                    read_u64,
                    va,
                    tcr=regime.tcr,
                    ttbr0=regime.ttbr0,
                    ttbr1=regime.ttbr1,
                    sctlr=regime.sctlr,
                    mair=regime.mair,
                    el=el,
                    access=access,  # type: ignore[arg-type]
                    pa_bits=44,
                )
            except TranslationFault as fault:
                tested = fault
            about = f"{va:#x}: {tested}, by the model {expected}"
            if isinstance(expected, Fault):
                assert isinstance(tested, TranslationFault), about
                if expected.s1ptw:
                    assert tested.kind == FaultKind.EXTERNAL_ABORT, about
                    return "walk"
                assert tested.fsc == expected.fsc, about
                if expected.kind is not Kind.PERMISSION:
                    return expected.kind.name.lower()
                continue
            assert isinstance(tested, Translation), about
            assert tested.pa == expected.pa, about
            if expected.stage1:
                assert tested.level == expected.level
                assert tested.block_size == 1 << expected.bits
                assert tested.attributes == expected.attr
                assert tested.non_global == expected.ng
                assert tested.contiguous == expected.contiguous
                assert (tested.descriptor_address, tested.descriptor) == expected.path[-1]
    return what


# ---- what the random ones found ---------------------------------------------------------------

DEVICE_RO = 1 << 2 | 1 << 10 | 1 << 7  # attribute 1 of Paged is Device memory
PAGE = 0x8000_0000
LDR, STR, SWP = 0xF9400022, 0xF9000022, 0xF8238022


def paged(word: int, attributes: int, address: int, *, pa: int = TABLES + 0x8000) -> Paged:
    """Paged with one page at PAGE, after one instruction with x1 = address."""
    p = Paged()
    p.map(PAGE, pa, attributes)
    p.p.set_x(1, address)
    p.execute(word, el=1)
    return p


def test_an_unaligned_write_to_read_only_device_memory_is_an_alignment_fault() -> None:
    """An alignment fault by memory type comes before a permission fault."""
    p = paged(STR, DEVICE_RO, PAGE + 1)
    assert p.get("ESR_EL1") == 0x25 << 26 | 1 << 25 | 1 << 6 | 0x21


def test_a_stage_2_fault_on_the_walk_of_a_write_says_write_and_stage_2s_level() -> None:
    p = Paged()
    p.store64(TABLES + (PAGE >> 30) * 8, 0x10_0000_0000 | 3)
    p.p.set_x(1, PAGE)
    p.execute(STR, el=1)
    assert p.p.esr_el2 == 0x24 << 26 | 1 << 25 | 1 << 7 | 1 << 6 | 0x05
    assert p.p.hpfar_el2 == 0x10_0000_0000 >> 12 << 4
    assert p.p.far_el2 == PAGE


def test_what_stage_2_says_of_a_page_does_not_depend_on_the_page_before() -> None:
    """A read-only slot written after some walk has failed at stage 2: S1PTW is of that walk."""
    p = Paged()
    rom = bytearray(4096)
    p.memory.map(1, 0x1000_0000, rom, True)
    p.map(PAGE, 0x1000_0000, 1 << 10)
    p.store64(TABLES + 7 * 8, 0x10_0000_0000 | 3)
    p.p.set_x(1, PAGE)
    p.execute(LDR, el=1)
    p.p.set_x(1, 7 << 30)
    p.execute(LDR, el=1)
    assert p.p.esr_el2 & 1 << 7
    p.p.set_x(1, PAGE)
    assert p.execute(STR, el=1).esr & 0xFF == 1 << 6 | 0x0F


def test_default_cacheable_switches_stage_1_off() -> None:
    """HCR_EL2.DC: as if SCTLR_EL1.M were 0, whatever it is; and memory is Normal."""
    p = Paged()
    p.map(PAGE, TABLES + 0x8000, 1 << 10)
    p.p.set_x(1, PAGE)
    p.p.hcr_el2 = 1 << 12
    assert p.execute(LDR, el=1).where == "el2"
    assert p.p.hpfar_el2 == PAGE >> 12 << 4
    p.p.set_x(1, TABLES + 1)
    assert p.execute(LDR, el=1).where == "done"


@pytest.mark.parametrize("el", [0, 1])
def test_entering_the_guest_at_a_tagged_address_drops_the_tag(el: int) -> None:
    """EL2's exception return does, as any: FAR and ELR never show it."""
    p = Paged()
    p.set("TCR_EL1", p.get("TCR_EL1") | 1 << 37)
    p.p.pstate = EL1H if el else EL0T
    p.p.pc = 0xAB << 56 | PAGE
    p.p.run(p.p.instructions + 1)
    assert p.get("ELR_EL1") == p.get("FAR_EL1") == PAGE


def test_a_tagged_vector_base_is_no_tagged_pc() -> None:
    p = Paged()
    p.set("TCR_EL1", p.get("TCR_EL1") | 1 << 37)
    p.set("VBAR_EL1", p.get("VBAR_EL1") | 0x5A << 56)
    assert p.execute(0, el=1).where == "el1"


def test_wnr_of_atomics_tells_what_a_read_would_not_have_met() -> None:
    """Set only where the read alone would have been allowed."""
    bench = Bench([SWP], lse=True)
    bench.p.set_sysreg(enc("VBAR_EL1"), CODE + 0x800)
    bench.put(CODE + 0xA00, [B_SELF])
    bench.memory.map(1, 0x1000_0000, bytearray(4096), True)
    bench.p.set_x(1, DATA + 4)
    bench.run(1)
    assert bench.p.get_sysreg(enc("ESR_EL1")) == 0x25 << 26 | 1 << 25 | 0x21
    for address, iss in ((0x1000_0000, 1 << 6 | 0x0F), (0x2000_0000, 0x05)):
        bench.p.pc = CODE
        bench.p.set_x(1, address)
        bench.run(1)
        assert bench.p.esr_el2 == 0x24 << 26 | 1 << 25 | iss
