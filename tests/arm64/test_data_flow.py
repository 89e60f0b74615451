"""What instructions copy, compared with what they do: every form is executed, and so are guests."""

from pathlib import Path

import pytest

import guestdbg
from guestdbg.arm64.data_flow import SourceKind, memory_sources, register_sources, written_by
from guestdbg.arm64.disassembly import instruction
from guestdbg.arm64.instructions import accesses
from guestdbg.debugger import Guest
from guestdbg.debugger.errors import AddressError
from tests.debugger.compiled import compiled, needs_gcc
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

FORMS = (Path(__file__).parent / "forms.S").read_text()
MAIN = """
unsigned char memory[512] __attribute__((aligned(64)));
void forms(unsigned char *memory);
int main(void) { forms(memory + 64); return 0; }
"""
REGISTERS = (*(f"x{n}" for n in range(31)), "sp", *(f"v{n}" for n in range(32)))


class State:
    """The registers of a vCPU, and the bytes that its next instruction accesses."""

    def __init__(self, guest: Guest) -> None:
        cpu = guest.cpu
        self.pc, self.pstate = cpu.pc, cpu.pstate
        values = (*cpu.x, cpu.sp, *cpu.v)
        self.registers = {
            name: value.to_bytes(16 if name[0] == "v" else 8, "little")
            for name, value in zip(REGISTERS, values, strict=True)
        }
        self.raw = guest.read_u32(self.pc)
        found = accesses(self.raw, cpu.reg)
        self.address = found[0].address if found else None
        self.size = sum(each.size for each in found)

    def memory(self, guest: Guest) -> bytes:
        """What its accesses are of, as it is now."""
        if self.address is None:
            return b""
        try:
            return guest.read(self.address, self.size)
        except AddressError:
            return b""


def check_step(guest: Guest) -> State:
    """Execute one instruction, and compare what it did with what is said of it."""
    before = State(guest)
    memory = before.memory(guest)
    guest.step()
    shown = f"{instruction(before.raw.to_bytes(4, 'little'), before.pc)} {before.raw:#010x}"
    assert guest.cpu.pc >= 0x1000, f"{shown} has faulted"
    after = State(guest)
    if after.pc != before.pc + 4 and (before.raw >> 25 & 15) & 0b1110 != 0b1010:
        return before  # an exception was taken
    written = written_by(before.raw)
    for name, old in before.registers.items():
        new = after.registers[name]
        sources = register_sources(before.raw, name, before.pstate)
        assert new == old or written is None or name in written, f"{shown} writes {name}"
        if sources is not None:
            assert len(sources) == len(new)
            check_bytes(shown, name, sources, new, before, memory)
    stored = memory_sources(before.raw)
    if stored is not None and memory:
        new = before.memory(guest)
        if len(stored) == 1:
            stored *= before.size
        assert len(stored) == len(new), shown
        if new != memory or before.raw & 0x3F000000 != 0x08000000:  # it may have failed
            check_bytes(shown, "memory", stored, new, before, b"")
    return before


def check_bytes(shown, name, sources, new, before, memory) -> None:
    for n, source in enumerate(sources):
        said = f"{shown}: byte {n} of {name} is {source}"
        if source.kind is SourceKind.REGISTER:
            assert new[n] == before.registers[source.register][source.place], said
        elif source.kind is SourceKind.MEMORY and memory:
            assert new[n] == memory[source.place], said
        elif source.kind is SourceKind.ZERO:
            assert new[n] == 0, said
        elif source.kind is SourceKind.SIGN:
            assert new[n] == (0xFF if new[n - 1] & 0x80 else 0), said


@needs_gcc
def test_every_form_copies_what_is_said(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"main.c": MAIN, "forms.S": FORMS}, floats=True)
    kinds = set()
    with guestdbg.load(path, cpu="max", console=None, provider="soft", memory="8M") as guest:
        guest.run(until="forms")
        code = guest.symbol("forms")
        for n in range(1, 18):
            guest.cpu.x[n] = int.from_bytes(bytes(range(n * 8 + 80, n * 8 + 88)), "little")
        guest.cpu.x[16] = guest.cpu.x[30]
        for n in range(32):
            guest.cpu.v[n] = int.from_bytes(
                bytes((n * 16 + m) * 7 & 0xFF for m in range(16)), "little"
            )
        guest.write(guest.symbol("memory").address, bytes(n * 5 & 0xFF for n in range(512)))
        executed = set()
        while code.contains(guest.cpu.pc):
            executed.add(guest.cpu.pc)
            before = check_step(guest)
            for name in written_by(before.raw) or ():
                found = register_sources(before.raw, name, before.pstate)
                kinds |= {source.kind for source in found}
        # A load-exclusive is stepped together with its store-exclusive, twice.
        assert len(executed) + 2 == code.size // 4
    assert kinds == set(SourceKind)


@pytest.mark.parametrize(("name", "skip", "count"), [("queue", 50_000, 1500), ("mmu", 0, 2500)])
def test_what_guests_execute_copies_what_is_said(name: str, skip: int, count: int) -> None:
    path = EXAMPLES / f"{name}.elf"
    with guestdbg.load(path, console=None, provider="soft", memory="8M") as guest:
        guest.run(max_instructions=skip)
        for _ in range(count):
            check_step(guest)
            if guest.ended is not None:
                break


def test_exclusives_and_cleared_blocks() -> None:
    ldxr, stxr, stlxp, dc_zva = 0xC85F7C09, 0xC80A7C0B, 0xC82BB40C, 0xD50B7420
    found = register_sources(ldxr, "x9", 0)
    assert [(each.kind, each.place) for each in found] == [(SourceKind.MEMORY, n) for n in range(8)]
    assert memory_sources(ldxr) is None
    assert {each.register for each in memory_sources(stxr)} == {"x11"}
    assert register_sources(stxr, "x10", 0)[0].kind is SourceKind.COMPUTED
    assert [each.register for each in memory_sources(stlxp)] == ["x12"] * 8 + ["x13"] * 8
    assert [each.kind for each in memory_sources(dc_zva)] == [SourceKind.ZERO]
    assert written_by(dc_zva) == frozenset()


def test_calls_outside_have_results() -> None:
    assert written_by(0xD4000002) == {"x0", "x1", "x2", "x3"}  # HVC
    assert written_by(0xD45E0000) == {"x0"}  # HLT #0xF000
    assert written_by(0xD4000001) == frozenset()  # SVC


def test_encodings_that_are_not_known() -> None:
    assert written_by(0) is None
    assert {each.kind for each in register_sources(0, "x3", 0)} == {SourceKind.COMPUTED}
    assert memory_sources(0) is None
    assert register_sources(0xD503201F, "x3", 0) is None  # NOP
