"""What a TLB may still hold, and what it may not: TLBI of every kind, ASIDs, changed descriptors.

The model keeps, for each address, every translation that was true at some time since the last TLBI
that takes it away: an access must be by the tables as they are, or by one of those, and nothing
else. So after a proper TLBI only the tables count, and what was a fault is never remembered. (The
manual: D5.9 and D5.10, TLB maintenance requirements and the TLBI instructions.)

One to three processors share the tables; each has its own TLB, ASID and address space. A TLBI that
is not Inner Shareable takes away what the processor holds that executes it, the others what all
hold.

Descriptors are changed by the guest's own stores and from outside; TLBI, DSB, ISB and the access
run as one sequence, so that nothing but the TLBI itself can make the change seen.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, Processor

from .model_translation import (
    Access,
    Done,
    Fault,
    Found,
    How,
    Kind,
    Machine,
    Part,
    Regime,
    Stopped,
    hpfar,
    syndrome,
    walk,
)
from .system_support import EL0T, EL1H, ISB, msr, sys
from .translation_scenarios import (
    DATA,
    GRANULES,
    MASK64,
    RAM,
    SCTLR,
    SIZE,
    Builder,
    World,
    Wrong,
    movz_of,
)

DSB = 0xD5033F9F
LDR, LDTR, STR = 0xF9400022, 0xF8400822, 0xF9000022  # x2, [x1]
CHANGE = 0xF90000C5  # str x5, [x6]
BR = 0xD61F0020  # br x1

# The upper half holds the code, and all the RAM at LINEAR for the guest's writes to descriptors.
UPPER = MASK64 << 39 & MASK64
CODE_AT = UPPER
LINEAR = UPPER | 1 << 30
ROOM = 0x400  # of the code page, where sequences are put

READ = Access(How.READ, (Part(0, 8),), syndrome=1 << 24 | 3 << 22 | 2 << 16 | 1 << 15)
STORE = replace(READ, how=How.WRITE)
UNPRIVILEGED = replace(READ, unprivileged=True)
FETCH = Access(How.FETCH, (Part(0, 4),))


@dataclass(frozen=True)
class Kept:
    """A translation that a TLB may hold."""

    found: Found
    asid: int | None  # None: global


@dataclass
class Context:
    """An address space of the lower half."""

    builder: Builder
    asid: int
    #: TCR_EL1.A1: the ASID is TTBR1_EL1's, and what TTBR0_EL1 has in its place is another's.
    from_ttbr1: bool = False
    decoy: int = 0

    @property
    def ttbr0(self) -> int:
        return self.builder.root | (self.decoy if self.from_ttbr1 else self.asid) << 48

    def ttbr1(self, upper: int) -> int:
        """TTBR1_EL1, for the tables of the upper half."""
        return upper | (self.asid if self.from_ttbr1 else self.decoy) << 48


@dataclass
class Tlb:
    """All that a TLB might hold, by address."""

    kept: dict[int, set[Kept]] = field(default_factory=dict)
    # (address, ASID) whose table descriptors have changed: what a walk cache may make of that is
    # not looked at until something takes it away.
    unsure: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Element:
    """A processor: what it executes in, and what its TLB might hold."""

    processor: Processor
    now: Context
    tlb: Tlb = field(default_factory=Tlb)


#: (name, op2, by address, by ASID, last level only)
KINDS = [
    ("VMALLE1", 0, False, False, False),
    ("VAE1", 1, True, True, False),
    ("ASIDE1", 2, False, True, False),
    ("VAAE1", 3, True, False, False),
    ("VALE1", 5, True, True, True),
    ("VAALE1", 7, True, False, True),
]


class Play:
    """One seed: address spaces, changes, TLBIs and accesses.

    spaces: how many ASIDs; more than three share three sets of tables.
    """

    def __init__(self, world: World, seed: int, processors: int = 1, spaces: int = 3) -> None:
        self.w = world
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        world.clear_tables()
        self.granule = rng.choice([12, 14, 16])
        txsz = rng.choice([25, 28, 32, 36])
        wide = rng.getrandbits(1)
        self.a1 = a1 = rng.getrandbits(1)
        self.asid_mask = 0xFFFF if wide else 0xFF
        asids = rng.sample(range(1, 200), spaces)
        builders: list[Builder] = []
        self.contexts = []
        for k, asid in enumerate(asids):
            if k < 3:
                builders.append(
                    Builder(
                        world,
                        rng,
                        upper=False,
                        granule=self.granule,
                        txsz=txsz,
                        ips=5,
                        contiguous=False,
                    )
                )
            decoy = rng.choice(asids)
            self.contexts.append(Context(builders[k % 3], asid, bool(a1), decoy))
        # Few addresses, so that they are accessed again while a TLB may still hold them.
        self.addresses = sorted(
            {
                builders[0].address() + rng.randrange(0, 0x1000, 16)
                for _ in range(10 if processors == 1 and spaces == 3 else 3)
            }
        )
        for builder in builders:
            for va in self.addresses:
                builder.grow(va)
        self.upper = self._upper_half()
        tcr = txsz | GRANULES[self.granule][0] << 14 | 25 << 16 | 2 << 30 | 5 << 32 | wide << 36
        tcr |= a1 << 22
        self.mair = 0xFF4404FF | rng.getrandbits(32) << 32
        self.tcr = tcr
        first = world.p
        others = [world.new_processor() for _ in range(processors - 1)]
        self.elements = [Element(first, self.contexts[0])]
        self.elements += [Element(p, rng.choice(self.contexts)) for p in others]
        for element in reversed(self.elements):
            self.use(element)
            world.flush()
            for name, value in (
                ("MAIR_EL1", self.mair),
                ("TCR_EL1", tcr),
                ("TTBR0_EL1", self.now.ttbr0),
                ("TTBR1_EL1", self.now.ttbr1(self.upper)),
                ("VBAR_EL1", CODE_AT + 0x800),
                ("SCTLR_EL1", SCTLR | 1),
            ):
                world.set(name, value)

    def use(self, element: Element) -> None:
        """What follows is executed by this processor."""
        self.element = element
        self.w.p = element.processor

    def close(self) -> None:
        """The world has its own processor again."""
        self.w.p = self.elements[0].processor

    @property
    def p(self) -> Processor:
        return self.element.processor

    @property
    def tlb(self) -> Tlb:
        return self.element.tlb

    @property
    def now(self) -> Context:
        return self.element.now

    def _upper_half(self) -> int:
        """4 KiB granule, 39 bits: a page of code for both levels, and the RAM by 2 MiB blocks."""
        w = self.w
        first, second, third, linear = (w.new_table(0x1000, 0x1000) for _ in range(4))
        assert first is not None
        assert second is not None
        assert third is not None
        assert linear is not None
        put = w.put
        put(first, (second | 3).to_bytes(8, "little"))
        put(second, (third | 3).to_bytes(8, "little"))
        put(third, (RAM | 1 << 10 | 3 << 6 | 3).to_bytes(8, "little"))
        put(first + 8, (linear | 3).to_bytes(8, "little"))
        for n in range(SIZE >> 21):
            put(linear + 8 * n, (RAM + (n << 21) | 1 << 53 | 1 << 10 | 1).to_bytes(8, "little"))
        return first

    # ---- the model ----------------------------------------------------------------------------

    def regime(self) -> Regime:
        now = self.now
        regime = Regime(SCTLR | 1, self.tcr, now.ttbr0, now.ttbr1(self.upper), self.mair)
        assert regime.asid == now.asid
        return regime

    def regime_of(self, context: Context) -> Regime:
        ttbr1 = context.ttbr1(self.upper)
        return replace(self.regime(), ttbr0=context.ttbr0, ttbr1=ttbr1)

    def remember(self) -> None:
        """What is true now may be held from now on, by the processor that this concerns."""
        here = self.element
        for element in self.elements:
            self.use(element)
            self._remember()
        self.use(here)

    def _remember(self) -> None:
        regime = self.regime()
        for va in self.addresses:
            found = walk(regime, va, self.w.read_u64)
            if isinstance(found, Found):
                asid = self.now.asid if found.ng else None
                self.tlb.kept.setdefault(va, set()).add(Kept(found, asid))

    def invalidate(
        self, tlb: Tlb, kind: tuple[str, int, bool, bool, bool], va: int, asid: int
    ) -> None:
        """Take away what the TLBI says must be gone."""
        _, _, by_address, by_asid, last_only = kind
        for at, kept in tlb.kept.items():
            for entry in list(kept):
                bits = max(entry.found.bits, 12)
                if by_address and at >> bits != va >> bits:
                    continue
                if by_asid and entry.asid != asid and (entry.asid is not None or not by_address):
                    continue
                kept.discard(entry)
        for at, of in list(tlb.unsure):
            if last_only or (by_asid and of != asid):
                continue
            if by_address and at >> self.granule != va >> self.granule:
                continue
            tlb.unsure.discard((at, of))

    def outcomes(self, va: int, access: Access, el: int) -> list[Done | Stopped]:
        """All that an access may come to: the present tables' answer first."""
        w, regime = self.w, self.regime()
        machine = Machine(regime, w.read_u64, w.is_memory, w.is_writable, el)
        answers = [machine.access(va, access)]
        for entry in self.tlb.kept.get(va, ()):
            if entry.asid in (None, self.now.asid):
                held = entry.found

                def translate(at: int, held: Found = held) -> Found | Fault:
                    return held

                machine = Machine(regime, w.read_u64, w.is_memory, w.is_writable, el, translate)
                answers.append(machine.access(va, access))
        return answers

    # ---- what can happen ----------------------------------------------------------------------

    def change(self) -> tuple[int, int, int]:
        """(where, new descriptor, address that it is about): a change of one of the tables."""
        rng = self.rng
        context = rng.choice(self.contexts)
        va = rng.choice(self.addresses)
        regime = self.regime_of(context)
        path: list[tuple[int, int]] = []

        def read(pa: int) -> int | None:
            value = self.w.read_u64(pa)
            if value is not None:
                path.append((pa, value))
            return value

        walk(regime, va, read)
        at, old = path[-1] if rng.random() < 0.85 else rng.choice(path)
        if not RAM <= at < DATA:
            return self.change()
        level = 4 - len(path) if at != path[-1][0] else context.builder.first + len(path) - 1
        choice = rng.random()
        leaf = at == path[-1][0]
        if choice < 0.15:
            new = 0
        elif choice < 0.5 and leaf and old & 1:
            new = old ^ rng.choice([1 << 6, 1 << 7, 1 << 10, 1 << 11, 1 << 53, 1 << 54, 1 << 4])
        elif leaf:
            low = context.builder.low(level)
            new = context.builder.attributes() | context.builder.place(low)
            new |= 3 if level == 3 else 1
        else:
            new = old ^ rng.choice([1 << 61, 1 << 62, 1 << 60, 1 << 59])
        return at, new & ~(1 << 52), va

    def changed(self, at: int, old: int) -> None:
        """Walk caches may hold the table descriptor at `at`."""
        if old & 3 != 3:
            return
        for context in self.contexts:
            regime = self.regime_of(context)
            for va in self.addresses:
                seen: list[int] = []

                def read(pa: int, seen: list[int] = seen) -> int | None:
                    seen.append(pa)
                    return self.w.read_u64(pa)

                walk(regime, va, read)
                last = len(seen) - 1 + context.builder.first == 3
                if at in (seen[:-1] if last else seen):
                    for element in self.elements:
                        element.tlb.unsure.add((va, context.asid))

    def put(self, words: list[int]) -> int:
        at = RAM + ROOM
        self.w.put(at, b"".join(word.to_bytes(4, "little") for word in words))
        self.w.memory.code_changed(at, 4 * len(words))
        return CODE_AT + ROOM

    def step(self) -> None:
        rng = self.rng
        self.use(rng.choice(self.elements))
        p = self.p
        words: list[int] = []
        what = []
        self.remember()
        choice = rng.random()
        if choice < 0.6:
            at, new, about = self.change()
            old = self.w.read_u64(at)
            assert old is not None
            self.changed(at, old)
            what.append(f"[{at:#x}] {old:#x} -> {new:#x}")
            if rng.random() < 0.5:
                p.set_x(5, new)
                p.set_x(6, LINEAR + at - RAM)
                words.append(CHANGE)
            self.w.put(at, new.to_bytes(8, "little"))
        else:
            about = rng.choice(self.addresses)
        if rng.random() < 0.25:
            self.element.now = rng.choice(self.contexts)
            ttbr1 = self.now.ttbr1(self.upper)
            what.append(f"TTBR0_EL1 = {self.now.ttbr0:#x}, TTBR1_EL1 = {ttbr1:#x}")
            p.set_x(7, self.now.ttbr0)
            p.set_x(9, ttbr1)
            words += [msr("TTBR1_EL1", 9), msr("TTBR0_EL1", 7), ISB]
            self.counts["switch by TTBR1" if self.a1 else "switch by TTBR0"] += 1
        va = about if rng.random() < 0.7 else rng.choice(self.addresses)
        if rng.random() < 0.6:
            kind = rng.choice(KINDS)
            asid = rng.choice([self.now.asid, self.now.asid, rng.choice(self.contexts).asid])
            target = about if rng.random() < 0.8 else rng.choice(self.addresses)
            p.set_x(8, target >> 12 & (1 << 44) - 1 | asid << 48)
            shared = rng.getrandbits(1)
            what.append(f"TLBI {kind[0]}{'IS' * shared} {target:#x}, ASID {asid}")
            words += [DSB, sys(0, 8, 3 if shared else 7, kind[1], 8), DSB, ISB]
            for element in self.elements if shared else [self.element]:
                self.invalidate(element.tlb, kind, target, asid)
            self.counts[kind[0]] += 1
            self.counts["of all processors" if shared else "of one processor"] += 1
        elif words and words[-1] == CHANGE:
            words += [DSB, ISB]
        el = rng.getrandbits(1)
        if (va, self.now.asid) in self.tlb.unsure:
            el, words = 1, [*words, 0xD503201F]
            self.finish(words, what, None, va, el, READ)
            self.counts["unsure"] += 1
            return
        name = rng.choice(["ldr", "ldtr", "fetch", "fetch"])
        if words:
            el = 1
        if name == "fetch" and not self.can_fetch(va, el):
            name = "ldr"
        access = {"ldr": READ, "ldtr": UNPRIVILEGED, "fetch": FETCH}[name]
        words.append({"ldr": LDR, "ldtr": LDTR, "fetch": BR}[name])
        what.append(f"{name} at {va:#x}, EL{el}")
        self.finish(words, what, self.outcomes(va, access, el), va, el, access)

    def can_fetch(self, va: int, el: int) -> bool:
        """Only the words of the data pages tell where they are."""
        for answer in self.outcomes(va, FETCH, el):
            if isinstance(answer, Done):
                pa = answer.pieces[0][0]
                if self.w.bytes_at(pa, 4) != movz_of(pa).to_bytes(4, "little"):
                    return False
        return True

    def finish(
        self,
        words: list[int],
        what: list[str],
        answers: list[Done | Stopped] | None,
        va: int,
        el: int,
        access: Access,
    ) -> None:
        """Run the sequence, and see that what comes of it is among the answers."""
        p = self.p
        p.set_x(1, va)
        p.set_x(2, 0xDEAD)
        p.pc = self.put(words)
        p.pstate = EL1H if el else EL0T
        reason = p.run(p.instructions + len(words) + (access is FETCH))
        if answers is None:
            assert p.pc == CODE_AT + ROOM + 4 * len(words), what
            return
        seen = self.observed(reason, access, va)
        allowed = [self.expected(answer, access, el) for answer in answers]
        if seen not in allowed:
            raise Wrong(
                f"seed {self.seed}: {'; '.join(what)}\n  it was {seen}\n  allowed: {allowed}"
            )
        self.counts["by the tables" if seen == allowed[0] else "by the TLB"] += 1
        if len(set(allowed)) == 1:
            self.counts["one answer only"] += 1

    def observed(self, reason: int, access: Access, va: int) -> tuple[object, ...]:
        p, w = self.p, self.w
        if reason == EXIT_EL2:
            return ("el2", p.esr_el2, p.far_el2, p.hpfar_el2)
        assert reason == EXIT_LIMIT
        if CODE_AT + 0x800 <= p.pc < CODE_AT + 0x1000:
            return ("el1", w.get("ESR_EL1"), w.get("FAR_EL1"))
        if access is FETCH:
            assert p.pc == va + 4
            return ("fetched", *(p.get_x(n) for n in FETCHED))
        return ("read", p.get_x(2))

    def expected(self, answer: Done | Stopped, access: Access, el: int) -> tuple[object, ...]:
        w = self.w
        if isinstance(answer, Stopped):
            esr = syndrome(access, answer, el)
            if answer.fault.ipa is not None:
                return ("el2", esr, answer.far, hpfar(answer.fault.ipa))
            return ("el1", esr, answer.far)
        pa = answer.pieces[0][0]
        if access is not FETCH:
            return ("read", int.from_bytes(w.bytes_at(pa, 8), "little"))
        word = int.from_bytes(w.bytes_at(pa, 4), "little")
        assert word == movz_of(pa)
        values = [self.p.get_x(n) for n in FETCHED]
        values[FETCHED.index(pa >> 2 & 15)] = pa >> 12 & 0xFFFF
        return ("fetched", *values)


FETCHED = list(range(16))  # the registers that the words of the data pages write


@pytest.fixture(scope="module")
def world(tier: str) -> World:
    return World()


@pytest.mark.parametrize("batch", range(6))
def test_random_maintenance(batch: int, world: World) -> None:
    counts: Counter[str] = Counter()
    for seed in range(batch * 40, (batch + 1) * 40):
        play = Play(world, seed)
        for _ in range(60):
            play.step()
        counts.update(play.counts)
    assert all(counts[kind[0]] > 50 for kind in KINDS)
    assert counts["one answer only"] > counts["by the TLB"]
    assert counts["by the tables"] > 500
    assert counts["switch by TTBR0"] > 50
    assert counts["switch by TTBR1"] > 50


@pytest.mark.parametrize(("processors", "spaces"), [(2, 3), (3, 5), (1, 20), (2, 24)])
def test_random_maintenance_of_several_processors_and_spaces(
    processors: int, spaces: int, world: World
) -> None:
    """Also with more ASIDs than the processor has tables for."""
    counts: Counter[str] = Counter()
    for seed in range(1000, 1030):
        play = Play(world, seed, processors, spaces)
        try:
            for _ in range(80):
                play.step()
        finally:
            play.close()
        counts.update(play.counts)
    assert all(counts[kind[0]] > 30 for kind in KINDS)
    assert counts["of one processor"] > 200
    assert counts["of all processors"] > 200
    assert counts["one answer only"] > counts["by the TLB"]
    assert counts["by the TLB"]


def test_a_descriptor_that_was_invalid_is_never_remembered(world: World) -> None:
    """Translation, address size and access flag faults are not held: no TLBI is needed."""
    play = Play(world, 1)
    va, (at, _) = next(
        (va, found.path[-1])
        for va in play.addresses
        if isinstance(found := walk(play.regime(), va, world.read_u64), Found) and found.level == 3
    )
    for bad in (0, DATA | 3, 1 << 47 | 1 << 10 | 3):
        world.put(at, bad.to_bytes(8, "little"))
        world.flush()
        world.set("SCTLR_EL1", SCTLR | 1)
        (fault,) = play.outcomes(va, READ, 1)
        assert isinstance(fault, Stopped)
        assert fault.fault.kind in (Kind.TRANSLATION, Kind.ACCESS_FLAG, Kind.ADDRESS_SIZE)
        play.finish([LDR], ["before"], [fault], va, 1, READ)
        world.put(at, (DATA | 1 << 10 | 3).to_bytes(8, "little"))
        play.finish([DSB, ISB, LDR], ["after"], play.outcomes(va, READ, 1), va, 1, READ)


@pytest.mark.parametrize("access", ["read at EL0", "write at EL1", "ldtr"])
def test_permissions_that_were_given_without_maintenance(access: str, world: World) -> None:
    """A TLB may still refuse, with a Permission fault at the level of the page; nothing else."""
    play = Play(world, 1)
    va, (at, _) = next(
        (va, found.path[-1])
        for va in play.addresses
        if isinstance(found := walk(play.regime(), va, world.read_u64), Found) and found.level == 3
    )
    before, after = (DATA | ap << 6 | 1 << 10 | 3 for ap in (2 if access[0] == "w" else 0, 1))
    world.put(at, before.to_bytes(8, "little"))
    world.flush()
    world.set("SCTLR_EL1", SCTLR | 1)
    el = 0 if access.endswith("EL0") else 1
    word, how = {"r": (LDR, READ), "w": (STR, STORE), "l": (LDTR, UNPRIVILEGED)}[access[0]]
    fault = play.outcomes(va, how, el)[0]
    assert isinstance(fault, Stopped)
    assert fault.fault.kind is Kind.PERMISSION
    play.finish([word], ["before"], [fault], va, el, how)
    world.put(at, after.to_bytes(8, "little"))
    now = play.outcomes(va, how, el)[0]
    assert isinstance(now, Done)
    place = now.pieces[0][0]
    kept = world.bytes_at(place, 8)
    play.finish([word], ["after"], [now, fault], va, el, how)
    world.put(place, kept)
