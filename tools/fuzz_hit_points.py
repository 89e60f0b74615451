"""Random points, conditions, handlers and commands for the programs of fuzz_hit_code."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fuzz_accesses import DATA_REGISTERS
from fuzz_hit_code import DEVICE_REGISTERS, FOCI, POOL, Element, Program, element

from guestdbg.arm64.debug import AccessKind, Privilege
from guestdbg.debugger.program.bit_field import BitField
from guestdbg.debugger.program.float_format import BFLOAT16, BY_SIZE, FloatFormat
from tests.debugger.assembled import CODE
from tests.debugger.mapped import PAGE, SCATTERED

__all__ = ["Action", "Part", "Scenario", "Spec", "scenario"]

#: A command of the user, and a number that it needs.
Action = tuple[str, int]


@dataclass(frozen=True)
class Spec:
    """A point. ``address`` of a breakpoint is the number of an element.

    ``when``: a text, None, or ("python", n); ``handler``: what it does, at every so many hits, and
    with which number; None: there is none. ``late``: an action adds it.
    """

    kind: Literal["watch", "record", "break"]
    address: int
    length: int = 0
    access: AccessKind = "write"
    when: Any = None
    ignore: int = 0
    before: bool = False
    bit_field: BitField | None = None
    float_format: FloatFormat | None = None
    registers: tuple[int, ...] = ()
    limit: int | None = None
    how: Literal["hardware", "software"] = "hardware"
    handler: tuple[str, int, int] | None = None
    enabled: bool = True
    late: bool = False
    el: Privilege = "any"
    context: int | None = None

    @property
    def features(self) -> list[str]:
        """What is counted if it was hit."""
        found = [f"{self.kind} {self.how}" if self.kind == "break" else f"{self.kind}"]
        if self.kind != "break":
            found.append(f"{self.access} access")
            found.append(f"length {self.length if self.length <= 8 else 'more'}")
        found += [
            name
            for name, here in (
                ("condition", isinstance(self.when, str)),
                ("python condition", isinstance(self.when, tuple)),
                ("ignored", self.ignore),
                ("before", self.before),
                ("bit-field", self.bit_field),
                ("float", self.float_format),
                ("limit", self.limit),
                ("registers", self.registers),
                ("late", self.late),
                (f"only {self.el}", self.el != "any"),
                ("context", self.context is not None),
                ("device register", self.kind != "break" and self.address in DEVICE_REGISTERS),
            )
            if here
        ]
        if isinstance(self.when, str) and _VECTOR.search(self.when):
            found.append("when vector")
        if isinstance(self.when, str):
            found += [f"when {name}" for name in _NAMES if name in self.when]
        if self.handler is not None and self.kind != "record":
            found.append(f"handler {self.handler[0]}")
        return found


_NAMES = ("count", "new", "old", "address", "size", "pc", "x", "u8", "u16", "u32", "u64", "sp")

#: An element, point or action with its place, so that each can be left out.
Part = tuple[str, Any]


@dataclass(frozen=True)
class Scenario:
    """A program, points, and what the user does.

    ``interrupt``: an interrupt is pending. ``shared``: there are few watchpoint registers, and
    one may watch the bytes between several watches.
    """

    vcpus: int
    loops: int
    elements: tuple[Element, ...]
    points: tuple[Spec, ...]
    actions: tuple[Action, ...] = field(default=())
    interrupt: bool = False
    shared: bool = False

    @property
    def parts(self) -> list[Part]:
        """All that can be left out."""
        return [
            *(("action", each) for each in self.actions),
            *(("element", each) for each in self.elements),
            *(("point", each) for each in self.points),
            *(("loop", n) for n in range(self.loops - 1)),
        ]

    def of(self, parts: Sequence[Part]) -> Scenario:
        """The same with these parts only."""

        def only(kind: str) -> tuple[Any, ...]:
            return tuple(each for what, each in parts if what == kind)

        return replace(
            self,
            loops=1 + len(only("loop")),
            elements=only("element"),
            points=only("point"),
            actions=only("action"),
        )

    def text(self) -> str:
        """For a failure: all of it, with the code."""
        program = Program.of(self.elements, self.loops)
        return "\n".join(
            [
                f"{self.vcpus} vCPUs, {self.loops} rounds, interrupt {self.interrupt}, "
                f"shared {self.shared}; "
                f"code at {CODE:#x}:",
                "  " + " ".join(f"{word:08x}" for word in program.words),
                *(f"  {each}" for each in program.accessed),
                *(f"  point {n}: {each}" for n, each in enumerate(self.points)),
                *(f"  action: {each}" for each in self.actions),
            ]
        )


_VECTOR = re.compile(r"\b[dshqv][0-7]\b")
_SYSTEM = ("ELR_EL1", "ESR_EL1", "FAR_EL1", "CONTEXTIDR_EL1", "TPIDR_EL1", "lr", "x30")

# ---- conditions -------------------------------------------------------------------------------


def _term(rng: random.Random, values: bool, foci: Sequence[int]) -> str:
    """A condition of one comparison."""
    n = rng.randrange(DATA_REGISTERS)
    at = rng.choice(foci) + rng.randint(-16, 8)
    code = CODE + 4 * rng.randrange(40)
    terms = [
        f"count == {rng.randint(1, 6)}",
        f"count % {rng.randint(2, 4)} == {rng.randrange(2)}",
        f"count > {rng.randrange(5)}",
        f"x{n} & {1 << rng.randrange(4)}",
        f"x{n} < x{(n + 3) % DATA_REGISTERS}",
        f"w{n} == {rng.randrange(4)}",
        f"address == {at:#x}",
        f"address & {1 << rng.randrange(4)}",
        f"size == {rng.choice((1, 2, 4, 8))}",
        f"size > {rng.randrange(8)}",
        f"pc & {4 << rng.randrange(3)}",
        f"pc > {code:#x}",
        f"u8[{at:#x}] & {1 << rng.randrange(8)}",
        f"u16[{at:#x}] > {rng.getrandbits(16)}",
        f"u32[{at:#x}] % 3",
        f"s64[{at:#x}] < 0",
        f"u64[{at:#x}] & 1",
        f"u32[{code:#x}] & {1 << rng.randrange(32)}",
        "u8[address] & 1",
        "u64[address] % 3 == 0",
        "sp & 16",
        f"{rng.choice(_SYSTEM)} & {1 << rng.randrange(12)}",
    ]
    terms += _vector_terms(rng, at)
    if values:
        terms += [
            "new != old",
            f"old & {1 << rng.randrange(8)}",
            f"new == {rng.choice((0, 1, 255))}",
            f"new != None and new & {1 << rng.randrange(8)}",
            f"new != None and new > {1 << rng.randrange(64)}",
            "old == new or count == 2",
        ] * 3
        if rng.random() < 0.06:
            terms += ["new > 5"] * 30  # which is an error where nothing is written
    return rng.choice(terms)


def _vector_terms(rng: random.Random, at: int) -> list[str]:
    """Comparisons of V registers and of floating-point values in memory."""
    n, other = rng.randrange(DATA_REGISTERS), rng.randrange(DATA_REGISTERS)
    letter, size = rng.choice((("b", 1), ("h", 2), ("s", 4), ("d", 8)))
    lane = rng.randrange(16 // size)
    number = rng.choice(("0", "1.5", "-1e300", "inf", "0x20000000000001", f"x{n}"))
    return [
        f"d{n} < {number}",
        f"s{n} >= s{other}",
        f"h{n} != h{n}",
        f"v{n}.{letter}[{lane}] & {1 << rng.randrange(8 * size)}",
        f"v{n}.s.f[{lane & 3}] + d{other} > {number}",
        f"d{n} * 0.5 - s{other} / 3 < {number}",
        f"d{n} // 2.5 == d{n} / 2.5 or d{n} % 2.5 < 1",
        f"q{n} == q{other} or not q{other}",
        f"f64[{at:#x}] > f32[{at:#x}]",
        f"f16[address] < {number}",
    ]


def _float_terms(rng: random.Random) -> list[str]:
    """Comparisons of the values of a watch of floating-point type."""
    return [
        "new != old",
        "old == new or count == 2",
        f"old > {rng.choice(('0', '-1.5', '1e-5'))}",
        "new != None and new - old > 0.25",
        "new != None and new == new",
        "old * 2 != old",
        f"old < x{rng.randrange(DATA_REGISTERS)}",
    ] * 4


def _condition(
    rng: random.Random, values: bool, foci: Sequence[int], *, is_float: bool = False
) -> Any:
    choice = rng.random()
    if choice < 0.4:
        return None
    if choice < 0.48:
        return ("python", 1 << rng.randrange(3))

    def term() -> str:
        if is_float and rng.random() < 0.7:
            return rng.choice(_float_terms(rng))
        return _term(rng, values and not is_float, foci)

    text = term()
    while rng.random() < 0.35:
        text = f"({text}) {rng.choice(('and', 'or'))} ({term()})"
    return f"not ({text})" if rng.random() < 0.1 else text


_ACCESS: tuple[AccessKind, ...] = ("write", "write", "read", "any", "any")

# ---- points -----------------------------------------------------------------------------------

_HANDLERS = (
    ("log", 8), ("stop", 3), ("disable", 0.7), ("enable", 0.7), ("toggle", 0.7), ("delete", 0.2),
    ("condition", 0.6), ("recount", 0.5), ("write", 0.4), ("register", 0.3),
)  # fmt: skip


def _handler(rng: random.Random) -> tuple[str, int, int] | None:
    if rng.random() < 0.2:
        return None
    names, weights = zip(*_HANDLERS, strict=True)
    return rng.choices(names, weights)[0], rng.randint(1, 4), rng.randrange(64)


def _point(rng: random.Random, foci: Sequence[int], elements: int) -> Spec:
    kind = rng.choices(("watch", "record", "break"), (5, 2.4, 2))[0]
    common: dict[str, Any] = {
        "handler": _handler(rng),
        "enabled": rng.random() < 0.93,
        "late": rng.random() < 0.07,
        "ignore": rng.choice((0, 0, 0, 0, 1, 3)) if kind != "record" else 0,
    }
    if kind == "break":
        return Spec(
            "break",
            rng.randrange(max(1, elements)),
            when=_condition(rng, False, foci),
            how=rng.choice(("hardware", "software")),
            **common,
            **_restriction(rng),
        )
    length = (
        rng.choice((1, 1, 2, 4, 8, 8))
        if kind == "record"
        else rng.choice((1, 1, 2, 3, 4, 5, 8, 8, 12, 16, 24, 33, 64))
    )
    address = rng.choice(foci) + rng.choice(
        (-length, 0, -1, rng.randint(-40, 24), rng.randint(-4, 3) * 8)
    )
    bit_field = None
    if length <= 8 and rng.random() < 0.12:
        offset = rng.randrange(8)
        size = rng.randint(max(1, 8 * length - 7 - offset), 8 * length - offset)
        bit_field = BitField(offset, size, rng.random() < 0.5)
    if rng.random() < 0.07:
        address, length = POOL + 4 * rng.randrange(14), 8
        bit_field = None
    if rng.random() < 0.07:
        address, length, bit_field = rng.choice(DEVICE_REGISTERS), rng.choice((1, 4, 4, 8)), None
    float_format = None
    if bit_field is None and length in BY_SIZE and rng.random() < 0.3:
        float_format = BFLOAT16 if length == 2 and rng.random() < 0.3 else BY_SIZE[length]
    scalar = bit_field is not None or length in (1, 2, 4, 8)
    access: AccessKind = rng.choice(_ACCESS)
    common["when"] = _condition(rng, scalar, foci, is_float=float_format is not None)
    if kind == "record":
        return Spec(
            "record",
            address,
            length,
            access,
            bit_field=bit_field,
            float_format=float_format,
            registers=tuple(rng.sample(range(31), rng.choice((0, 0, 1, 3)))),
            limit=rng.choice((1, 2, 3, 5, 8, 20, 300, 300, 300, None)),
            **common,
        )
    return Spec(
        "watch",
        address,
        length,
        access,
        bit_field=bit_field,
        float_format=float_format,
        before=rng.random() < 0.1,
        **common,
        **_restriction(rng),
    )


def _restriction(rng: random.Random) -> dict[str, Any]:
    """To an exception level or a context, sometimes."""
    choice = rng.random()
    if choice < 0.05:
        return {"el": rng.choice(("el0", "el1"))}
    if choice < 0.08:
        return {"context": rng.choice((0, 0, 5))}
    return {}


# ---- scenarios --------------------------------------------------------------------------------

_ACTIONS = (
    ("run", 3), ("limit", 2), ("step", 2), ("steps", 1), ("detached", 0.5), ("disarmed", 0.4),
    ("toggle", 1), ("delete", 0.3), ("add", 1), ("condition", 0.5), ("clear", 0.5), ("write", 0.3),
    ("select", 0.3), ("recount", 0.3), ("restore", 0.4), ("until", 0.5), ("over", 0.3),
    ("range", 0.4),
)  # fmt: skip


def scenario(seed: int) -> Scenario:
    """The case of a seed."""
    rng = random.Random(f"hits/{seed}")
    foci = rng.sample(FOCI, rng.choice((1, 1, 2, 3)))
    assert all(SCATTERED < at < SCATTERED + 8 * PAGE for at in foci)
    elements = tuple(element(rng, foci) for _ in range(rng.choice((3, 6, 10, 16))))
    count = 40 if rng.random() < 0.004 else rng.choice((1, 2, 3, 3, 4, 5, 7))
    points = tuple(_point(rng, foci, len(elements)) for _ in range(count))
    names, weights = zip(*_ACTIONS, strict=True)
    actions: list[Action] = []
    if rng.random() < 0.6:
        actions = [
            (rng.choices(names, weights)[0], rng.randrange(200))
            for _ in range(rng.choice((1, 2, 4, 7)))
        ]
    return Scenario(
        vcpus=2 if rng.random() < 0.1 else 1,
        loops=rng.choice((1, 2, 2, 3)),
        elements=elements,
        points=points,
        actions=tuple(actions),
        interrupt=rng.random() < 0.3,
        shared=rng.random() < (0.07 if count < 40 else 0.8),
    )
