"""A program, and its traces on two KVMs, as lines for people."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import exception_class
from guestdbg.check.assembler import NOP
from guestdbg.check.differential import layout
from guestdbg.check.differential.program import Complete, Debug, Line, OnHit, SetReg
from guestdbg.kvm.structures import control_names

if TYPE_CHECKING:
    from guestdbg.check.differential.compare import Difference
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import Seen, Trace

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
    gic = ", a GICv3" if program.interrupts else ""
    yield f"program {program.name}: EL{program.el}, MMU {mmu}{gic}, at most {program.exits} exits"
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
        case Line():
            return f"KVM_IRQ_LINE of SPI {action.intid}: {action.level}"
        case Complete():
            return "KVM_RUN with immediate_exit"
    return str(action)


def exit_words(seen: Seen) -> str:
    """An exit in a few words."""
    match seen:
        case ("debug", int(hsr), int(high), int(far)):
            words = f"{_DEBUG_EXITS.get(exception_class(hsr), 'debug')} hsr {hsr:#x}"
            words += f" high {high:#x}" if high else ""
            return words + (f" far {far:#x}" if far != -1 else "")
        case ("mmio", int(address), int(length), int(is_write), str(data)):
            return f"mmio {'write' if is_write else 'read'} {address:#x}/{length} {data}"
    return " ".join(str(v) for v in seen)


def comparison_lines(
    a: Trace, b: Trace, names: tuple[str, str], difference: Difference | None = None
) -> Iterator[str]:
    """Both traces exit by exit, then the difference field by field.

    An exit that is the same in both is one line; otherwise there is a line for each trace.
    """
    for n in range(max(len(a.moments), len(b.moments))):
        yield from _pair(f"{n:2}", names, _exit_of(a, n), _exit_of(b, n))
    for x, y in itertools.zip_longest(a.taken, b.taken):
        if x != y:
            yield "   first exceptions taken differently (ESR, ELR, SPSR, FAR, vector):"
            yield from _pair("  ", names, _entry(x), _entry(y))
            break
    if difference is not None:
        yield f"   differ at {difference.moment}:"
        for field, x, y in difference.fields:
            yield from _pair(f"   {field:10}", names, _value(x), _value(y))


def _exit_of(trace: Trace, n: int) -> str:
    if n >= len(trace.moments):
        return "-"
    pc = trace.registers(n).get("pc", 0)
    return f"{exit_words(trace.moments[n].exit)} pc {pc:#x}"


def _pair(start: str, names: tuple[str, str], x: str, y: str) -> Iterator[str]:
    """One line if x and y are equal, else one for each, with its name."""
    if x == y:
        yield f"{start} {x}"
        return
    width = max(map(len, names))
    yield f"{start} {names[0]:{width}}  {x}"
    yield f"{' ' * len(start)} {names[1]:{width}}  {y}"


def _entry(entry: tuple[int, ...] | None) -> str:
    return " ".join(f"{v:#x}" for v in entry) if entry else "-"


def _value(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else str(value)
