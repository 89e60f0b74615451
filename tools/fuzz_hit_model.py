"""Which hits a program must have: a model that knows what each instruction accesses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fuzz_accesses import READ, WRITE
from fuzz_hit_code import DATA, Accessed
from fuzz_hit_play import STOPS, Play

from guestdbg.debugger import Recording, Watch
from guestdbg.debugger.breakpoints.point import Breakpoint

__all__ = ["check_conditions", "check_counts", "check_hits", "check_records", "check_values"]

_BITS = {"read": READ, "write": WRITE, "any": READ | WRITE}


def check_counts(play: Play, vcpus: int) -> str | None:
    """Whether the counts are what the program does to the watched bytes and breakpoints."""
    program, case = play.program, play.case
    if not play.complete:
        return None
    rounds = vcpus * program.loops
    stepped = any(what not in ("run", "add", "disarmed") for what, _ in case.actions)
    for point, seen, _hits in play.counted.values():
        if isinstance(point, Breakpoint):
            least, most = rounds, rounds
            inside = point.address in program.inside and point.address not in program.loads
            if point.el == "el0" or point.context:
                least = most = 0
            elif stepped or inside or point.address == program.end:
                least = 0
                most += vcpus * STOPS if point.address == program.end else 0
        else:
            assert isinstance(point, Watch)
            touching = [
                each
                for each in program.accessed
                if each.touches(point.address, point.length, _BITS[point.access])
                and point.el in ("any", "el0" if each.form == "unprivileged" else "el1")
                and not point.context
            ]
            # A load-exclusive and its store, if both fault after a handler was called.
            twice = [each for each in touching if point.before and each.store and not each.certain]
            most = rounds * (len(touching) + len(twice))
            least = rounds * sum(_surely(each, point) for each in touching)
            if isinstance(point, Recording) and point.limit is not None:
                least = min(least, point.limit)
        if not least <= seen <= most:
            return f"{point!r} has seen {seen} accesses or arrivals, of {least} to {most}"
    return None


def _surely(each: Accessed, point: Watch) -> bool:
    if each.store:
        return each.certain or (each.loads and point.bits & READ != 0)
    return each.certain


def check_hits(play: Play) -> str | None:
    """Whether each hit of a watch is of an access of the program, with its place and size."""
    by_pc = {each.pc: each for each in play.program.accessed}
    by_pc |= {each.store: each for each in play.program.accessed if each.store}
    for line in play.log:
        for hit in _hits_in(line):
            point = play.points[hit[0]]
            if not isinstance(point, Watch):
                continue
            each = by_pc.get(int(hit[1][1], 16))
            if each is None:
                return f"a hit at {hit[1][1]}, where nothing is accessed: {hit!r}"
            low, high = (
                max(each.address, point.address),
                min(each.address + each.size, point.end),
            )
            if (int(hit[2][1], 16), hit[2][2]) != (low, high - low):
                return f"a hit of {high - low} bytes at {low:#x} is reported as {hit!r}"
            if (int(hit[3][1], 16), hit[3][2]) != (each.address, each.size):
                return f"an access of {each.size} bytes at {each.address:#x} is {hit!r}"
            name = {READ: "read", WRITE: "write", READ | WRITE: "readwrite"}[each.bits]
            if hit[3][3] != name and not each.store:
                return f"a {name} is {hit!r}"
    return None


def _hits_in(line: tuple[Any, ...]) -> Sequence[tuple[Any, ...]]:
    if line[0] in ("handler", "condition"):
        return (line[2],)
    return line[5] if line[0] == "stop" else ()


def check_values(play: Play, vcpus: int) -> str | None:
    """Whether what a watch has found is what it had left, if all its writes are in the log."""
    if play.written or vcpus > 1:
        return None
    for number, (point, _seen, _hits) in play.counted.items():
        spec = play.case.points[number]
        if not isinstance(point, Watch) or point.access == "read" or spec.when is not None:
            continue
        if point.address < DATA:
            continue  # a device: what it holds is not what was written
        if not point.scalar or point.restricted or spec.before or number in play.conditions:
            continue
        last: object = None
        for old, new, write in _values(play, number, recorded=isinstance(point, Recording)):
            if last is not None and old is not None and old != last:
                return f"{point!r}: a hit has left {last!r}, and the next one found {old!r}"
            if write:
                last = new  # None: it has failed, and may have written a part
    return None


def _values(play: Play, number: int, *, recorded: bool) -> list[tuple[object, object, bool]]:
    """The old and new values of the hits, and whether they wrote."""
    if recorded:
        return [
            (line[4], line[5], line[8] != "read")
            for line in play.log
            if line[0] == "record" and line[1] == number
        ]
    return [
        (hit[4][1], hit[5][1], hit[3][3] != "read")
        for line in play.log
        if line[0] == "handler" and line[1] == number
        for hit in [line[2]]
    ]


_COUNT = re.compile(r"count (==|>|%) (\d+)(?: == (\d+))?")


def _holds(count: int, match: re.Match[str]) -> bool:
    n = int(match[2])
    if match[1] == "%":
        return count % n == int(match[3] or 0)
    return count == n if match[1] == "==" else count > n


def check_conditions(play: Play) -> str | None:
    """Whether the hits are those accesses for which a condition over their count holds."""
    for number, (point, seen, hits) in play.counted.items():
        when = play.case.points[number].when
        counts: list[int] | range | None = None
        if when is None:
            counts = range(seen)
        elif isinstance(when, str) and (match := _COUNT.fullmatch(when)):
            counts = [each for each in range(1, seen + 1) if _holds(each, match)]
        if counts is not None and number not in play.conditions and hits != len(counts):
            return f"{point!r} has seen {seen}, {hits} of them with {when}: must be {len(counts)}"
    return None


def check_records(play: Play) -> str | None:
    """Whether records are in order, none is there twice, and there are not too many."""
    for number, (point, _seen, hits) in play.counted.items():
        if not isinstance(point, Recording):
            continue
        rows = [line for line in play.log if line[0] == "record" and line[1] == number]
        numbers = [line[9] for line in rows]
        if numbers != sorted(set(numbers)):
            return f"{point!r} has records with the numbers {numbers}"
        retired = [line[6] for line in rows]
        if play.case.vcpus == 1 and retired != sorted(retired):
            return f"{point!r} has records of {retired} instructions"
        if len(rows) != hits and not any(what == "clear" for what, _ in play.case.actions):
            return f"{point!r} has {len(rows)} records of {hits} hits"
        if point.limit is not None and len(point) > point.limit:
            return f"{point!r} has {len(point)} records, and a limit of {point.limit}"
    return None
