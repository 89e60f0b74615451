"""Every call of a function in an interval, with its arguments and what it returned.

A call returns where LR says at its first instruction, with the stack pointer that it began with.
So the interval is repeated twice: with breakpoints at the function, and at all the places that its
calls return to. A call of another function at its end (a tail call) is noticed at the branch; what
that function returns is what the call returns.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from guestdbg.arm64.branches import BranchKind, branch
from guestdbg.debugger.errors import AddressError, InvalidLocation, Unsupported
from guestdbg.errors import GuestdbgError
from guestdbg.history.questions.access_table import Calls
from guestdbg.history.questions.accesses import check_limit
from guestdbg.history.questions.arrivals import arrivals
from guestdbg.history.questions.call_result import Call
from guestdbg.history.questions.intervals import check_interval
from guestdbg.history.questions.procedure_calls import argument, result_of
from guestdbg.history.questions.repeating import CodeQuery

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.history.questions.procedure_calls import Result
    from guestdbg.history.questions.repeating import Arrival
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["DEFAULT_CALLS", "CallsUntil", "calls"]

log = logging.getLogger(__name__)

#: So many calls are kept if no limit is given.
DEFAULT_CALLS = 100_000

CallsUntil = Literal["return", "entry"]

_ARGUMENTS = tuple(f"x{n}" for n in range(8))
_FIRST_ARGUMENT = 3
_ENTRY = ("sp", "x30", "TTBR0_EL1", *_ARGUMENTS)
_VECTORS = tuple(f"v{n}" for n in range(8))
_RETURN = ("sp", "TTBR0_EL1", "x0", "x1", "v0", "v1", "v2", "v3")
#: So many arrivals at return addresses are kept for each call: a call through a pointer may call
#: other functions from there.
_RETURNS_PER_CALL = 8
_MOST_CODE = 1 << 20
_INSTRUCTION = 4
_UPPER_HALF = 55


@dataclass(frozen=True, slots=True)
class _Function:
    """A function that is called.

    Attributes:
        name: as it was asked for.
        addresses: of its first instructions: of an overloaded function there are several.
        code: the addresses of its instructions, by symbol.
        parameters: their names.
        types: their drgn types.
        result: how its result is found; None: without debug information.
        note: what is to be known of the answer.
    """

    name: str
    addresses: tuple[int, ...]
    code: tuple[range, ...]
    parameters: tuple[str, ...]
    types: tuple[Any, ...]
    result: Result | None
    note: str | None


class _TailCall(NamedTuple):
    """A branch out of the function: its target, or the register that has it."""

    target: int | None
    register: str | None


class _Open:
    """A call that has not returned yet."""

    __slots__ = ("call", "key", "vcpu")

    def __init__(self, call: Call, key: tuple[int, int, int]) -> None:
        self.call = call
        self.key = key
        self.vcpu = call.vcpu


def calls(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    function: str | int,
    what: CallsUntil,
    when: Any,
    limit: int,
) -> Calls:
    """All calls from ``start`` to before ``end``. The guest is put back to where it is."""
    check_interval(travel, start, end)
    check_limit(limit)
    if what not in get_args(CallsUntil):
        raise InvalidLocation(f"what is {what!r}: it must be 'return' or 'entry'")
    with travel.elsewhere(), guest.execution.only(None):
        found = _function(guest, function)
        guest.break_(found.addresses[0], when=when).delete()  # an error comes before any work
        registers = (*_ENTRY, *_VECTORS) if found.types else _ENTRY
        options = {"when": when}
        entries = CodeQuery(found.addresses, registers, found.parameters, limit + 1, options)
        entered, more = arrivals(guest, travel, start, end, entries)
        cut = None
        if more:
            entered = entered[:limit]
            cut = f"only the first {limit}, up to {entered[-1].position}: there are more (limit=)"
        made = [_Open(_call(guest, found, each), _key(each, 1)) for each in entered]
        if what == "return" and made:
            beyond = _follow(guest, travel, end, found, made)
            cut = cut or beyond
    if cut is not None:
        log.warning("%s: %s", found.name, cut)
    return Calls(found.name, start, end, [each.call for each in made], cut, found.note)


# ---- the function --------------------------------------------------------------------------------


def _function(guest: Guest, function: str | int) -> _Function:
    point = guest.break_(function)
    addresses, functions, name = point.addresses, point.functions, point.name
    point.delete()
    inlined = [address for address in addresses if functions.get(address) is not None]
    called = tuple(address for address in addresses if address not in inlined)
    if not called:
        raise Unsupported(
            f"{name} was inlined at {len(inlined)} {'place' if len(inlined) == 1 else 'places'} "
            "and is never called: an inlined function has no return. "
            f"history.executions({name!r}) gives when its code was reached"
        )
    note = None
    if inlined:
        note = (
            f"{name} was also inlined at {len(inlined)} "
            f"{'place' if len(inlined) == 1 else 'places'}, which are not among these calls"
        )
        log.warning("%s", note)
    located = guest.locate(called[0])
    shown = located.function or name
    if located.offset and isinstance(function, str):
        raise InvalidLocation(f"{name} is not a function: it is {located}")
    return _Function(
        shown,
        called,
        tuple(_extent(guest, address) for address in called),
        *_declaration(guest, name),
        note,
    )


def _extent(guest: Guest, address: int) -> range:
    """Where the function's instructions are; empty: that is not known."""
    symbol = guest.execution.symbol_at(address)
    if symbol is None or symbol.address != address or symbol.size > _MOST_CODE:
        return range(address, address)
    return range(address, address + symbol.size, _INSTRUCTION)


def _declaration(guest: Guest, name: str) -> tuple[tuple[str, ...], tuple[Any, ...], Result | None]:
    """The names and types of its parameters, and its result; nothing without debug information."""
    try:
        type_ = guest[name].type_
        names = tuple(parameter.name or "" for parameter in type_.parameters)
        types = tuple(parameter.type for parameter in type_.parameters)
        return names, types, result_of(type_.type)
    except (GuestdbgError, AttributeError, ValueError, LookupError, TypeError):
        return (), (), None


def _tail_calls(guest: Guest, function: _Function) -> dict[int, _TailCall]:
    """The branches out of the function, by their addresses, in the code as it is now."""
    found: dict[int, _TailCall] = {}
    for code in function.code:
        try:
            words = guest.read(code.start, code.stop - code.start)
        except AddressError:
            continue
        for place, pc in enumerate(code):
            raw = int.from_bytes(words[place * 4 : place * 4 + 4], "little")
            taken = branch(raw)
            if taken is None or taken.kind is not BranchKind.JUMP:
                continue
            if taken.register is not None:
                found[pc] = _TailCall(None, f"x{taken.register}")
                continue
            target = pc + (taken.offset or 0)
            # A part of it that is somewhere else is named function.cold.
            if target not in code and not _is_part(guest, target, function.name):
                found[pc] = _TailCall(target, None)
    return found


def _is_part(guest: Guest, target: int, name: str) -> bool:
    symbol = guest.execution.symbol_at(target)
    return symbol is not None and symbol.name.startswith(f"{name}.")


# ---- calls ---------------------------------------------------------------------------------------


def _key(arrival: Arrival, at: int) -> tuple[int, int, int]:
    """What a call has in common with its return: address, stack pointer, and address space.

    ``at`` is the place of the return address among the registers; 0: it is the PC.
    """
    address = arrival.registers[1] if at else arrival.pc
    tables = arrival.registers[2 if at else 1]
    return address, arrival.registers[0], 0 if address >> _UPPER_HALF & 1 else tables


def _call(guest: Guest, function: _Function, arrival: Arrival) -> Call:
    arguments: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    for number, name in enumerate(function.parameters):
        known, value = arrival.variables[number]
        if not known:
            in_registers = _in_registers(guest, function, number, arrival)
            known, value = in_registers is not None, value if in_registers is None else in_registers
        if known:
            arguments[name or f"argument {number}"] = value
        else:
            unavailable[name or f"argument {number}"] = value
    if function.result is None:
        arguments = dict(zip(_ARGUMENTS, arrival.registers[_FIRST_ARGUMENT:], strict=True))
    return Call(
        guest.locate(arrival.pc).function or function.name,
        arrival.position,
        arrival.position.vcpu,
        arrival.registers[1],
        arguments,
        unavailable,
        _locate=guest.locate,
    )


def _in_registers(guest: Guest, function: _Function, number: int, arrival: Arrival) -> Any | None:
    """An argument by the procedure call standard, where the debug information has no value.

    The compiler may have given a copy of a function other parameters: it is named function.isra.0.
    """
    symbol = guest.execution.symbol_at(arrival.pc)
    if symbol is None or "." in symbol.name:
        return None
    values = arrival.registers[_FIRST_ARGUMENT:]
    x, v = values[: len(_ARGUMENTS)], values[len(_ARGUMENTS) :]
    try:
        return argument(guest.program, function.types, number, x, v)
    except (GuestdbgError, AttributeError, ValueError, LookupError, TypeError):
        return None


def _follow(
    guest: Guest, travel: Travel, end: Position, function: _Function, made: list[_Open]
) -> str | None:
    """Find where the calls have returned; why that is not complete, or None."""
    start = made[0].call.position
    travel.visit(start)
    tails = _tail_calls(guest, function)
    returns = tuple(dict.fromkeys(each.key[0] for each in made))
    registers = (*_RETURN, *dict.fromkeys(t.register for t in tails.values() if t.register))
    query = CodeQuery(
        tuple(dict.fromkeys((*returns, *tails))),
        registers,
        limit=len(made) * _RETURNS_PER_CALL + (1 << 16),
    )
    arrived, more = arrivals(guest, travel, start, end, query)
    waiting = iter(made)
    following = next(waiting, None)
    open_: list[_Open] = []
    for arrival in arrived:
        while following is not None and following.call.position < arrival.position:
            open_.append(following)
            following = next(waiting, None)
        if arrival.pc in tails:
            _note_tail_call(guest, function, open_, arrival, tails[arrival.pc], registers)
        _close(guest, function, open_, arrival)
    for each in made:
        if each.call.returned is None:
            note = "; ".join(filter(None, (each.call.note, "it had not returned by then")))
            each.call = replace(each.call, note=note)
    if more:
        return (
            f"returns are known up to {arrived[-1].position} only: the places that the calls "
            "return to are reached much more often than the function"
        )
    return None


def _note_tail_call(
    guest: Guest,
    function: _Function,
    open_: list[_Open],
    arrival: Arrival,
    tail: _TailCall,
    registers: tuple[str, ...],
) -> None:
    """The innermost call is about to leave the function, if that is where the branch goes."""
    target = tail.target
    if target is None and tail.register is not None:
        target = arrival.registers[registers.index(tail.register)]
        if any(target in code for code in function.code):
            return
    for each in reversed(open_):
        if each.vcpu == arrival.position.vcpu:
            if each.key[1] == arrival.registers[0]:
                where = guest.locate(target or 0).function or f"{target:#x}"
                each.call = replace(each.call, note=f"it has ended in a tail call of {where}")
            return


def _close(guest: Guest, function: _Function, open_: list[_Open], arrival: Arrival) -> None:
    """The call has returned that goes on here, if there is one."""
    key = _key(arrival, 0)
    here = arrival.position.vcpu
    found: _Open | None = None
    for each in reversed(open_):
        # A task of an operating system may have moved to another vCPU meanwhile.
        if each.key == key and (found is None or each.vcpu == here):
            found = each
            if each.vcpu == here:
                break
    if found is None:
        return
    open_.remove(found)
    call, (x0, x1) = found.call, arrival.registers[2:4]
    value, why = None, None
    if function.result is not None:
        value, why = function.result.value(guest.program, (x0, x1), arrival.registers[4:8])
    found.call = replace(
        call,
        returned=arrival.position,
        result=x0 if function.result is None else value,
        registers=(x0, x1),
        note="; ".join(filter(None, (call.note, why))) or None,
    )
