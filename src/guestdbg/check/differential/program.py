"""A random program: the guest's initial state, and what the host does. Plain values only.

A program is made from its seed (``generate``) or read from a file. It does not depend on the KVM
that it is played on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from guestdbg.errors import GuestdbgError

#: A program that has not ended after so many exits is not run further.
MAX_EXITS = 40

#: What the host does after a breakpoint, watchpoint or BRK exit: add 4 to the PC ("skip"), nothing
#: ("again"), switch guest debugging off ("off"), or one step without the debug registers ("step").
HitPolicy = Literal["skip", "again", "off", "step"]
HIT_POLICIES: tuple[HitPolicy, ...] = ("skip", "again", "off", "step")


class ProgramError(GuestdbgError):
    """A file of programs or traces is not valid, or a trace cannot be obtained."""


@dataclass(frozen=True, slots=True)
class Debug:
    """KVM_SET_GUEST_DEBUG. Registers as (number, control, value)."""

    control: int
    breakpoints: tuple[tuple[int, int, int], ...] = ()
    watchpoints: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SetReg:
    """KVM_SET_ONE_REG, of a core register (``core``) or a system register, by name."""

    name: str
    value: int
    core: bool = False


@dataclass(frozen=True, slots=True)
class OnHit:
    """Sets what happens after a hit from now on."""

    policy: HitPolicy


@dataclass(frozen=True, slots=True)
class Complete:
    """KVM_RUN with immediate_exit: KVM completes a pending access and does not enter the guest."""


@dataclass(frozen=True, slots=True)
class Line:
    """KVM_IRQ_LINE of an SPI."""

    intid: int
    level: int


Action = Debug | SetReg | OnHit | Complete | Line
_ACTIONS: dict[str, type[Action]] = {
    "debug": Debug,
    "set": SetReg,
    "hit": OnHit,
    "complete": Complete,
    "line": Line,
}
_NAMES = {kind: name for name, kind in _ACTIONS.items()}


@dataclass(frozen=True, slots=True)
class Program:
    """One experiment.

    Attributes:
        seed: the seed that it was made from.
        mmu: whether the guest starts with its MMU on.
        el: the Exception level that it starts at.
        code: its instructions, at ``layout.CODE``.
        vectors: the instructions of the exception vectors, at ``layout.VECTORS``.
        x: the initial values of X0 to X30.
        data: the seed of the data pages' contents.
        sysregs: initial values of system registers, in addition to those of every program.
        script: (number of exits before them, the host's actions); 0: before the guest runs.
        variant: empty, or the number of a shrunk program.
        interrupts: whether the machine has an interrupt controller (``controller``).
        exits: the maximum number of exits.
    """

    seed: int
    mmu: bool
    el: int
    code: tuple[int, ...]
    vectors: tuple[int, ...]
    x: tuple[int, ...]
    data: int = 0
    sysregs: tuple[tuple[str, int], ...] = ()
    script: tuple[tuple[int, tuple[Action, ...]], ...] = ()
    variant: str = ""
    interrupts: bool = False
    exits: int = field(default=MAX_EXITS)

    @property
    def name(self) -> str:
        """The name that identifies it in traces: seed, "i" if it has interrupts, variant."""
        return f"{self.seed}{'i' * self.interrupts}{self.variant and ':' + self.variant}"

    def actions(self, exits: int) -> tuple[Action, ...]:
        """What the host does after this number of exits."""
        return tuple(a for at, actions in self.script if at == exits for a in actions)

    def all_actions(self) -> Iterator[Action]:
        """Every action of the script, in order."""
        for _, actions in self.script:
            yield from actions


def dumps(program: Program) -> str:
    """A program as one line of JSON."""
    values = {f.name: getattr(program, f.name) for f in dataclasses.fields(program)}
    values["script"] = [
        [at, [[_NAMES[type(a)], *dataclasses.astuple(a)] for a in actions]]
        for at, actions in program.script
    ]
    return json.dumps(values, separators=(",", ":"))


def dumps_request(program: Program, *, full: bool) -> str:
    """A program as one line of JSON that also says whether a full trace is asked for."""
    return json.dumps({"full": full}, separators=(",", ":"))[:-1] + "," + dumps(program)[1:]


def loads_request(line: str) -> tuple[Program, bool | None]:
    """The program of one line of JSON, and whether a full trace is asked for (None: not said).

    Raises:
        ProgramError: the line is not a program.
    """
    try:
        values = json.loads(line)
        full = values.pop("full", None)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProgramError(f"not a program of the differential: {error!r}") from None
    if full is not None and type(full) is not bool:
        raise ProgramError(f"not a program of the differential: full is {full!r}")
    return _program(values), full


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def loads(line: str) -> Program:
    """The program of one line of JSON.

    Raises:
        ProgramError: the line is not a program.
    """
    return loads_request(line)[0]


def _program(values: Any) -> Program:
    try:
        values["script"] = [
            [at, [_ACTIONS[a[0]](*map(_tuples, a[1:])) for a in actions]]
            for at, actions in values["script"]
        ]
        return Program(**{name: _tuples(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ProgramError(f"not a program of the differential: {error!r}") from None
