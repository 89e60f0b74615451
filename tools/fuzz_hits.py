"""Random programs with points of every kind, played twice: once the provider evaluates hits where
it can, once Python evaluates them all. Everything that a user can see must be equal.

It is also compared with the model in fuzz_hit_code: which accesses hit which watches; and with a
run without any points: the debugger changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fuzz_accesses import LINE
from fuzz_case import Failure
from fuzz_hit_code import Program
from fuzz_hit_model import (
    check_conditions,
    check_counts,
    check_hits,
    check_records,
    check_values,
)
from fuzz_hit_play import INSTRUCTIONS, Play, World, state, world
from fuzz_hit_points import Part, Scenario, scenario
from fuzz_shrink import shrunk

from guestdbg.debugger.breakpoints.point import Breakpoint
from tests.debugger.mapped import PAGE

__all__ = ["play", "run", "world"]


def difference(first: Sequence[Any], second: Sequence[Any]) -> str | None:
    """The first lines that differ."""
    for n, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return f"line {n}:\n  provider {_short(a)}\n  python   {_short(b)}"
    if len(first) != len(second):
        n = min(len(first), len(second))
        more = first if len(first) > len(second) else second
        who = "provider" if more is first else "python"
        return f"only the {who} has line {n}: {_short(more[n])}"
    return None


def _short(line: object) -> str:
    text = repr(line)
    return text if len(text) < 2000 else text[:2000] + "..."


def play(case: Scenario, did: Counter[str]) -> int:
    """Both ways; returns the instructions. Raises Failure if anything differs."""
    place = world(case.vcpus, case.shared)
    program = Program.of(case.elements, case.loops)
    plays = [Play(place, way, case, program) for way in range(2)]
    for each in plays:
        each.play()
    first, second = plays
    found = difference(first.log, second.log)
    if found is not None:
        raise Failure(found)
    for each in plays:
        problem = (
            each.failed
            or check_counts(each, case.vcpus)
            or check_hits(each)
            or check_values(each, case.vcpus)
            or check_conditions(each)
            or check_records(each)
        )
        if problem is not None:
            raise Failure(problem)
    if case.vcpus == 1 and first.complete and not first.written and not _breaks(first):
        _check_transparent(place, case, program, first)
    note_coverage(first, did)
    return sum(v.instructions for v in place.guests[0].board.vcpus)  # type: ignore[attr-defined]


def _breaks(play: Play) -> bool:
    """Whether a store-exclusive may fail for the debugger's sake, and is not tried again."""
    return any(each.once for each in play.program.accessed)


def _check_transparent(place: World, case: Scenario, program: Program, debugged: Play) -> None:
    """Without points the guest must end in the same state."""
    guest = place.guests[0]
    place.begin(guest, program, interrupt=case.interrupt)
    guest.run(max_instructions=INSTRUCTIONS)
    after = state(guest)
    found = difference(debugged.log[-len(after) :], after)
    if found is not None:
        raise Failure(f"the debugger changes what the guest does (python: without it); {found}")


def note_coverage(play: Play, did: Counter[str]) -> None:
    """Count what has happened."""
    program, case = play.program, play.case
    by_pc = {each.pc: each for each in program.accessed}
    by_pc |= {each.store: each for each in program.accessed if each.store}
    for (number, pc), times in play.hits_at.items():
        each = by_pc.get(pc)
        if each is None or isinstance(play.points[number], Breakpoint):
            did["breakpoint hits"] += times
            continue
        did[f"form {each.form}"] += times
        last = each.address + each.size - 1
        did["page crossed"] += each.address // PAGE != last // PAGE
        did["line crossed"] += each.address // LINE != last // LINE
        did["faulted"] += not each.certain
    for line in play.log:
        did[line[0]] += 1
        if line[0] == "stop":
            did[f"stop {line[1]}"] += 1
    for what, _ in case.actions:
        did[f"action {what}"] += 1
    for spec, point in zip(case.points, play.points, strict=False):
        if point is not None and point.hits:
            for feature in spec.features:
                did[feature] += 1
            did["condition held"] += spec.when is not None
    did["interrupt"] += case.interrupt
    did["shared registers"] += case.shared
    did["two vCPUs"] += case.vcpus == 2
    did["decided"] += play.decided
    did["programs"] += 1


def run(seed: int, did: Counter[str]) -> int:
    """One case; returns the instructions. Raises Failure with the smallest failure."""
    case = scenario(seed)
    try:
        return play(case, did)
    except Exception as error:
        world.cache_clear()  # its state after the failure is unknown
        kind = type(error).__name__

        def fails(parts: Sequence[Part]) -> bool:
            try:
                play(case.of(parts), Counter())
            except Exception as again:
                world.cache_clear()
                return type(again).__name__ == kind
            return False

        parts = case.parts
        small = case.of(shrunk(parts, fails)) if fails(parts) else case
        message = f"{kind}: {error}"
        try:
            play(small, Counter())
        except Exception as again:
            world.cache_clear()
            message = f"{type(again).__name__}: {again}"
        raise Failure(f"{message}\n{small.text()}") from error
