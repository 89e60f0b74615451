"""A processor's whole state: nothing is left out, and a restored run repeats the first one."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_LIMIT,
    HitPrograms,
    Pages,
    PhysicalMemory,
    Processor,
    ProcessorState,
)

from .support import B_SELF, CODE, DATA, Bench
from .system_support import AF, DONE, Paged
from .system_support import DATA as PAGE
from .test_determinism import INPUT, SIZE, TOTAL, Guest, same

CPU = Path(__file__).parents[2] / "src" / "guestdbg" / "cpu"
WHOLE = [(0, SIZE // 4096)]


def fields(structure: str) -> list[str]:
    """The names of a struct's fields, in order."""
    text = (CPU / "core.pxd").read_text()
    found = re.search(
        rf"^cdef struct {structure}:[^\n]*\n(.*?)\n(?=\S)", text, re.DOTALL | re.MULTILINE
    )
    assert found
    lines = [line.split("#")[0].rstrip() for line in found[1].splitlines()]
    return [re.sub(r"\[.*", "", line).split()[-1].lstrip("*") for line in lines if line.strip()]


def test_what_is_left_out_is_caches_and_nothing_else() -> None:
    """A snapshot is the struct but for what lies from `tlbs` up to `context`."""
    names = fields("Cpu")
    assert names[0] == "x"
    assert len(names) > 140
    start, end = names.index("tlbs"), names.index("context")
    assert names[start:end] == [
        "tlbs",
        "lines",
        "jump_tables",
        "space",
        "spaces",
        "nspaces",
        "space_uses",
        "jumps_epoch",
        "tlb_counts",
        "pacs",
        "phys",
        "cache",
    ]


def test_what_stays_with_the_processor_is_named() -> None:
    """The fields that restore_held() puts back are its holder's, or describe its caches."""
    text = (CPU / "state.pyx").read_text()
    body = text[text.index("cdef void restore_held(") : text.index("cdef class ProcessorState")]
    stays = set(re.findall(r"\bc\.(\w+)", body))
    of_the_holder = {"hlt_exit", "kick", "programs"}
    of_caches = {"bp_checks", "n_bp_checks", "was_wvr", "was_wcr", "was_wp_live"}
    pointers = {"ip", "tlb", "line_tlb", "unpriv_tlb", "jumps", "acc", "acc2", "tr_host"}
    between_instructions = {"forwarded"}
    assert stays == of_the_holder | of_caches | pointers | between_instructions
    assert stays < set(fields("Cpu"))


@pytest.mark.parametrize("seed", range(20))
def test_every_byte_comes_back(seed: int) -> None:
    """Whatever was run, written or reset meanwhile, the state is that of then, bit for bit."""
    rng = random.Random(seed)
    guest = Guest(seed)
    p = guest.p
    for _ in range(rng.randrange(20)):
        guest_run(guest, rng)
    state = p.save_state()
    before = bytes(state)
    for enc in p.sysregs():
        p.set_sysreg(enc, rng.getrandbits(64))
    for name in ("hcr_el2", "mdcr_el2", "cptr_el2", "cnthctl_el2", "cntvoff_el2", "esr_el2"):
        setattr(p, name, rng.getrandbits(64))
    p.load_debug(*[[rng.getrandbits(64) for _ in range(16)] for _ in range(4)])
    for n in range(32):
        p.set_v(n, rng.getrandbits(128))
        p.set_x(n % 31, rng.getrandbits(64))
    p.fpcr = p.fpsr = rng.getrandbits(32)
    p.irq = p.fiq = True
    p.pstate = rng.choice([0, 4, 5]) | 1 << 21 | 0xF << 28
    p.advance_counter(1 << 40)
    p.run(p.instructions + 30)
    if rng.random() < 0.5:
        p.reset()
    changed = sum(a != b for a, b in zip(before, bytes(p.save_state()), strict=True))
    assert changed > 200
    p.restore_state(state)
    assert bytes(p.save_state()) == before


def guest_run(guest: Guest, rng: random.Random) -> None:
    reason = guest.p.run(guest.p.instructions + rng.choice([0, 1, 50, 300]))
    if reason != EXIT_LIMIT:
        guest.handle(reason)


Taken = tuple[ProcessorState, Pages, list[Any], int]


class Returning(Guest):
    """Restores earlier states again and again during the run."""

    went_back = 0

    def run(self, pieces: random.Random | None = None) -> None:
        assert pieces is not None
        p = self.p
        taken: list[Taken] = []
        left = 60
        while p.instructions < TOTAL and len(self.events) < 3000:
            if p.instructions >= self.input_at:
                self.input()
            end = min(self.input_at, p.instructions + pieces.choice([1, 7, 50, 400]))
            reason = p.run(end)
            if reason != EXIT_LIMIT:
                self.handle(reason)
            if not left:
                continue
            if pieces.random() < 0.2 and len(taken) < 5:
                taken.append(self.here())
            elif pieces.random() < 0.2 and taken:
                left -= 1
                self.back(*taken.pop(pieces.randrange(len(taken))))

    def here(self) -> Taken:
        return self.p.save_state(), Pages(self.ram, WHOLE), list(self.events), self.input_at

    def back(self, state: ProcessorState, pages: Pages, events: list[Any], input_at: int) -> None:
        """Back, or forth to where it was before it went back."""
        self.went_back += 1
        runs = pages.differing(self.ram, WHOLE)
        pages.put_back(self.ram, runs, False)
        for first, count in runs:
            self.memory.code_changed(0x4000_0000 + 4096 * first, 4096 * count)
        self.p.restore_state(state)
        self.events = events
        self.input_at = input_at


@pytest.mark.parametrize("batch", range(3))
def test_random_programs_that_go_back(batch: int) -> None:
    assert INPUT < TOTAL
    went_back = 0
    for seed in range(batch * 20, batch * 20 + 20):
        whole = Guest(seed)
        whole.run()
        returning = Returning(seed)
        returning.run(random.Random(seed))
        same(whole, returning)
        went_back += returning.went_back
    assert went_back > 500


def test_what_an_instruction_forwards_is_not_state() -> None:
    """Builds with GUESTDBG_LOOP keep it in the processor, but only for the next instruction."""
    bench = Bench([0x91000421, 0xD4000002])  # add x1, x1, #1; hvc #0
    p = bench.p
    start = p.save_state()
    states = []
    for value in (0x1234, 0x5678):
        p.restore_state(start)
        p.set_x(1, value)
        assert p.run(p.instructions + 100) == EXIT_EL2
        assert p.get_x(1) == value + 1
        p.set_x(1, 0)
        states.append(bytes(p.save_state()))
    assert states[0] == states[1]


def test_a_state_is_for_processors_that_are_alike() -> None:
    one, like = Processor(PhysicalMemory()), Processor(PhysicalMemory())
    one.set_x(3, 5)
    like.restore_state(one.save_state())
    assert bytes(like.save_state()) == bytes(one.save_state())
    more = Processor(PhysicalMemory(), watchpoints=5)
    with pytest.raises(ValueError, match=r"and 4 watchpoints, and this one has 6 \(2\) and 5"):
        more.restore_state(one.save_state())
    other_clock = Processor(PhysicalMemory(), clock="host")
    with pytest.raises(ValueError, match="another clock"):
        other_clock.restore_state(one.save_state())
    anything: Any = None
    with pytest.raises(TypeError):
        one.restore_state(anything)
    with pytest.raises(TypeError, match="save_state"):
        ProcessorState()


def test_the_form_for_files_has_every_field_that_lasts() -> None:
    """A field of struct Cpu is in the form for files (state_fields.pyx), or listed here."""
    from guestdbg.cpu import state_fields

    names = fields("Cpu")
    caches = names[names.index("tlbs") : names.index("context")]
    stays = {"hlt_exit", "kick", "programs"}
    stays |= {"bp_checks", "n_bp_checks", "was_wvr", "was_wcr", "was_wp_live"}
    stays |= {"ip", "tlb", "line_tlb", "unpriv_tlb", "jumps", "acc", "acc2", "tr_host"}
    between_instructions = {"forwarded", "budget", "acc_len"}
    of_the_processor = {"context", "clock_host"}
    expected = set(names) - {*caches, *stays, *between_instructions, *of_the_processor}
    parts = {"gic": fields("Gic"), "vtimer": fields("Timer"), "ptimer": fields("Timer")}
    flat = {f"{name}.{part}" for name, of in parts.items() for part in of}
    assert set(state_fields.names) == expected - set(parts) | flat
    assert len(set(state_fields.names)) == len(state_fields.names)


@pytest.mark.parametrize("seed", range(8))
def test_a_state_goes_through_its_form_for_files(seed: int) -> None:
    guest = Guest(seed)
    for _ in range(10):
        guest_run(guest, random.Random(seed))
    state = guest.p.save_state()
    twin = Guest(seed).p
    twin.restore_state(twin.parse_state(state.serialize()))
    assert twin.save_state().serialize() == state.serialize()


def test_damaged_states_are_refused() -> None:
    p = Processor(PhysicalMemory())
    data = p.save_state().serialize()
    with pytest.raises(ValueError, match="version 2; 1 is known"):
        p.parse_state(b"\2\0" + data[2:])
    with pytest.raises(ValueError, match="more bytes"):
        p.parse_state(data + b"x")
    with pytest.raises(ValueError, match="no field"):
        p.parse_state(data.replace(b"\5vbar_", b"\5vbaz_").replace(b"vbar_el1", b"vbaz_el1"))
    for length in (0, 3, 10, 1000, len(data) - 1):
        with pytest.raises(ValueError, match="truncated"):
            p.parse_state(data[:length])
    for name, size, value, words in (
        (b"el", 4, 2, "el of the processor is 0x2; it is 1 at most"),
        (b"undef_count", 4, 33, "it is 32 at most"),
        (b"nbrp", 4, 16, "another processor: nbrp is 0x10 there, and 0x6 here"),
        (b"dczid_el0", 8, 15, "another processor: dczid_el0"),
    ):
        at = data.index(bytes((len(name),)) + name) + 1 + len(name) + 2
        bad = data[:at] + value.to_bytes(size, "little") + data[at + size :]
        with pytest.raises(ValueError, match=words):
            p.parse_state(bad)


def test_a_kick_and_programs_are_not_the_guests() -> None:
    bench = Bench([B_SELF])
    p = bench.p
    state = p.save_state()
    programs = HitPrograms([(0, DATA, 8, 2, None, None, [])])
    p.set_programs(programs)
    p.kick()
    p.restore_state(state)
    assert p.programs is programs
    assert p.run(p.instructions + 100) != EXIT_LIMIT, "the kick is still there"


def test_checks_of_breakpoints_outlive_a_restore() -> None:
    """What was decoded with checks, and what without: armed and disarmed across going back."""
    bench = Bench([0x91000400, 0x91000400, 0x91000400, B_SELF])
    p = bench.p
    plain = p.save_state()
    p.mdcr_el2 = 1 << 8
    p.mdscr_el1 = 1 << 15
    none = [0] * 16
    p.load_debug([0x1E7, *none], [CODE + 8, *none], none, none)
    armed = p.save_state()
    for _ in range(3):
        p.restore_state(plain)
        p.run(p.instructions + 10)
        assert p.get_x(0) == 3
        p.restore_state(armed)
        p.run(p.instructions + 10)
        assert (p.pc, p.get_x(0)) == (CODE + 8, 2)


def test_breakpoints_are_planted_again() -> None:
    """So many others have been armed since that decoded code has no check for them any more."""
    bench = Bench([0x91000400, 0x91000400, 0x91000400, B_SELF])
    p = bench.p
    plain = p.save_state()
    p.mdcr_el2 = 1 << 8
    p.mdscr_el1 = 1 << 15
    none = [0] * 16
    p.load_debug([0x1E7, *none], [CODE + 8, *none], none, none)
    armed = p.save_state()
    for n in range(70):
        p.load_debug([0x1E7, *none], [CODE + 0x800 + 4 * n, *none], none, none)
    p.restore_state(plain)
    p.run(p.instructions + 10)
    assert p.get_x(0) == 3
    p.restore_state(armed)
    p.run(p.instructions + 10)
    assert (p.pc, p.get_x(0)) == (CODE + 8, 2)


def test_translations_of_after_are_forgotten() -> None:
    """The tables were changed, and used, since: what was remembered of them was not yet true."""
    one = Paged()
    va, whole = 0x5000_0000, [(0, len(one.ram) // 4096)]
    entry = one.entry(va)
    one.store64(entry, PAGE | AF | 3)
    one.store64(PAGE, 11)
    one.store64(PAGE + 0x1000, 22)
    ldr = 0xF9400022  # ldr x2, [x1]

    def load() -> int:
        one.p.set_x(1, va)
        assert one.execute(ldr, el=1) == DONE
        return int(one.p.get_x(2))

    assert load() == 11
    state, pages = one.p.save_state(), Pages(one.ram, whole)
    one.store64(entry, PAGE + 0x1000 | AF | 3)
    one.p.restore_state(one.p.save_state())
    assert load() == 22
    pages.put_back(one.ram, pages.differing(one.ram, whole), False)
    one.p.restore_state(state)
    assert load() == 11
