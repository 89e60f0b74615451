"""What instructions read, compared with what they do when other registers have other values."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import guestdbg
from guestdbg.arm64.disassembly import instruction
from guestdbg.arm64.instructions import accesses
from guestdbg.arm64.register_reads import RegisterRead, read_by
from guestdbg.debugger import Guest
from tests.arm64.test_data_flow import FORMS, MAIN
from tests.debugger.compiled import compiled, needs_gcc
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

REGISTERS = (*(f"x{n}" for n in range(31)), "sp")
NZCV = 15 << 28


def registers(guest: Guest) -> dict[str, int]:
    cpu = guest.cpu
    values = dict(zip(REGISTERS, (*cpu.x, cpu.sp), strict=True))
    return values | {"nzcv": cpu.pstate & NZCV}


def flip(guest: Guest, name: str, bits: int) -> None:
    if name == "nzcv":
        guest.cpu.pstate ^= bits << 28 & NZCV
    else:
        guest.cpu.set_reg(name, guest.cpu.reg(name) ^ bits)


class Instruction:
    """One instruction, executed again and again from one place."""

    def __init__(self, guest: Guest, place: object, raw: int) -> None:
        self.guest, self.place, self.raw = guest, place, raw
        found = accesses(raw, guest.cpu.reg)
        self.window = (found[0].address & ~63, 128) if found else None
        self.before = registers(guest)
        self.done = self.run({})

    def run(self, flips: dict[str, int]) -> tuple[dict[str, int], tuple[object, ...]]:
        """The registers, and everything else, after it."""
        guest = self.guest
        guest.restore(self.place)
        for name, bits in flips.items():
            flip(guest, name, bits)
        guest.run(max_instructions=1)
        memory = guest.read(*self.window) if self.window else b""
        return registers(guest), (guest.cpu.pc, memory, *guest.cpu.v)

    def has_effect(self, flips: dict[str, int]) -> bool:
        """Whether it does something else then, apart from what was flipped and stays so."""
        after, others = self.run(flips)
        flipped = {
            name: value
            ^ (flips.get(name, 0) << 28 & NZCV if name == "nzcv" else flips.get(name, 0))
            for name, value in self.before.items()
        }
        expected, expected_others = self.done
        if others != expected_others:
            return True
        for name, value in after.items():
            kept = expected[name] == self.before[name] and value == flipped[name]
            if value != expected[name] and not kept:
                return True
        return False


#: What reads a register for nothing under some condition, or does nothing with it here.
_WEAK = ("cas", "cbz", "ccm", "clz", "cmp x1, x1", "cs", "prfm", "tb", "pac", "aut", "xpac")


def check(guest: Guest, raw: int, chance: random.Random, *, all_seen: bool) -> tuple[int, int]:
    """Returns how many registers it reads, and how many of these have shown an effect."""
    place = guest.snapshot()
    text = instruction(raw.to_bytes(4, "little"), guest.cpu.pc) or f"{raw:#010x}"
    one = Instruction(guest, place, raw)
    reads = dict(read_by(raw))
    others = {
        # Bits above those that matter are among what must not matter.
        name: chance.getrandbits(64) & ~((1 << reads.get(name, 0)) - 1) & (1 << 64) - 1
        for name in (*REGISTERS, "nzcv")
        if name not in reads or name != "nzcv"
    }
    assert not one.has_effect(others), f"{text} reads more than {sorted(reads)}"
    seen = {
        name
        for name, bits in reads.items()
        if any(one.has_effect({name: chance.getrandbits(bits) | 1}) for _ in range(6))
    }
    if all_seen and not text.startswith(_WEAK):
        assert seen == set(reads), text
    guest.restore(place)
    return len(reads), len(seen)


@needs_gcc
def test_every_form_reads_what_is_said(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"main.c": MAIN, "forms.S": FORMS}, floats=True)
    chance = random.Random(1)
    read = seen = 0
    with guestdbg.load(path, cpu="max", console=None, provider="soft", memory="8M") as guest:
        guest.run(until="forms")
        code = guest.symbol("forms")
        for n in range(1, 18):
            guest.cpu.x[n] = chance.getrandbits(64)
        guest.cpu.x[16] = guest.cpu.x[30]
        while code.contains(guest.cpu.pc):
            raw = guest.read_u32(guest.cpu.pc)
            found = check(guest, raw, chance, all_seen=True)
            read, seen = read + found[0], seen + found[1]
            guest.run(max_instructions=1)
    assert read > 250
    assert seen > 0.85 * read


@pytest.mark.parametrize(("name", "skip", "count"), [("queue", 50_000, 150), ("pid", 9_000, 150)])
def test_what_guests_execute_reads_what_is_said(name: str, skip: int, count: int) -> None:
    chance = random.Random(2)
    read = seen = 0
    known = set()
    with guestdbg.load(
        EXAMPLES / f"{name}.elf", console=None, provider="soft", memory="8M"
    ) as guest:
        guest.run(max_instructions=skip)
        for _ in range(20 * count):
            raw = guest.read_u32(guest.cpu.pc)
            if raw not in known:
                known.add(raw)
                found = check(guest, raw, chance, all_seen=False)
                read, seen = read + found[0], seen + found[1]
            guest.run(max_instructions=1)
            if len(known) >= count:
                break
    assert read > len(known) / 2
    assert seen > 0.85 * read


def test_widths_and_flags() -> None:
    assert read_by(0x7100101F) == (RegisterRead("x0", 32),)  # cmp w0, #4
    assert read_by(0x54000041) == (RegisterRead("nzcv", 4),)  # b.ne
    assert read_by(0x1400000F) == ()  # b
    assert read_by(0xD65F03C0) == (RegisterRead("x30", 64),)  # ret
    assert dict(read_by(0x39000041)) == {"x2": 64, "x1": 8}  # strb w1, [x2]
    assert dict(read_by(0xA9BF7BFD)) == {"sp": 64, "x29": 64, "x30": 64}  # stp, pre-indexed
    assert read_by(0) == ()
