"""Prints a program, and its traces on two KVMs side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from guestdbg.arm64.esr import EC
from guestdbg.check.assembler import NOP
from guestdbg.check.differential import layout
from guestdbg.check.differential.compare import Difference
from guestdbg.check.differential.program import Complete, Debug, OnHit, Program, SetReg
from guestdbg.check.differential.trace import Seen, Trace
from guestdbg.kvm.structures import control_names

_DEBUG_EXITS: dict[int, str] = {
    EC.BREAKPT_LOW: "breakpoint",
    EC.SOFTSTP_LOW: "step",
    EC.WATCHPT_LOW: "watchpoint",
    EC.BRK64: "BRK",
}
#: Four bytes at an address as assembly, or None if they are no instruction.
Disassemble = Callable[[bytes, int], str | None]


def program_lines(program: Program, disassemble: Disassemble | None = None) -> Iterator[str]:
    """The program in readable lines."""
    mmu = "on" if program.mmu else "off"
    yield f"program {program.name}: EL{program.el}, MMU {mmu}, at most {program.exits} exits"
    x = [f"x{n}={v:#x}" for n, v in enumerate(program.x) if v and n not in (25, 26)]
    yield "  " + " ".join((*x, *(f"{n}={v:#x}" for n, v in program.sysregs)))
    for at, actions in program.script:
        if at < program.exits:
            for action in actions:
                yield f"  after {at} exits: {_action(action)}"
    nops = 0
    for n, word in enumerate(program.code):
        address = layout.CODE + 4 * n
        if word == NOP:
            nops += 1
            continue
        if nops:
            yield f"              ({nops} NOPs)"
            nops = 0
        text = disassemble(word.to_bytes(4, "little"), address) if disassemble else None
        yield f"  {address:#x}  {word:08x}  {text or ''}".rstrip()


def _action(action: object) -> str:
    match action:
        case Debug():
            words = [f"KVM_SET_GUEST_DEBUG {control_names(action.control)}"]
            words += [f"bcr{n}={c:#x} bvr{n}={v:#x}" for n, c, v in action.breakpoints]
            words += [f"wcr{n}={c:#x} wvr{n}={v:#x}" for n, c, v in action.watchpoints]
            return "; ".join(words)
        case SetReg():
            return f"{action.name} = {action.value:#x}"
        case OnHit():
            return f"after hits: {action.policy}"
        case Complete():
            return "KVM_RUN with immediate_exit"
    return str(action)


def exit_words(seen: Seen) -> str:
    """An exit in a few words."""
    match seen:
        case ("debug", int(hsr), int(high), int(far)):
            words = f"{_DEBUG_EXITS.get(hsr >> 26, 'debug')} hsr {hsr:#x}"
            words += f" high {high:#x}" if high else ""
            return words + (f" far {far:#x}" if far != -1 else "")
        case ("mmio", int(address), int(length), int(is_write), str(data)):
            return f"mmio {'write' if is_write else 'read'} {address:#x}/{length} {data}"
    return " ".join(str(v) for v in seen)


def side_by_side(
    a: Trace, b: Trace, names: tuple[str, str], difference: Difference | None = None
) -> Iterator[str]:
    """Both traces exit by exit, then the difference field by field."""
    width = 58
    yield f"   {names[0]:{width}}  {names[1]}"
    for n in range(max(len(a.moments), len(b.moments))):
        cells = []
        for trace in (a, b):
            if n < len(trace.moments):
                pc = trace.registers(n).get("pc", 0)
                cells.append(f"{exit_words(trace.moments[n].exit)} pc {pc:#x}")
            else:
                cells.append("-")
        yield f"{n:2} {cells[0]:{width}}  {cells[1]}"
    for x, y in itertools.zip_longest(a.taken, b.taken):
        if x != y:
            yield "   first exceptions taken differently (ESR, ELR, SPSR, FAR, vector):"
            yield f"     {_entry(x):{width - 2}}  {_entry(y)}"
            break
    if difference is not None:
        yield f"   differ at {difference.moment}:"
        for name, x, y in difference.fields:
            yield f"     {name:10} {_value(x):{width - 13}}  {_value(y)}"


def _entry(entry: tuple[int, ...] | None) -> str:
    return " ".join(f"{v:#x}" for v in entry) if entry else "-"


def _value(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else str(value)
