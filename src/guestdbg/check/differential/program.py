"""A random program: what the guest is, and what the host does to it. Plain values only.

Nothing here knows of a provider. A program is made by its seed (``generate``), or comes out of a
file; the same one is played everywhere.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from guestdbg.errors import GuestdbgError

#: A guest that has not ended by then is left alone.
MAX_EXITS = 40

#: What the host does after a breakpoint, watchpoint or BRK: past the instruction without it, the
#: same again, all debugging off, or one step with the registers off.
HitPolicy = Literal["skip", "again", "off", "step"]
HIT_POLICIES: tuple[HitPolicy, ...] = ("skip", "again", "off", "step")


class ProgramError(GuestdbgError):
    """A file of programs or traces is not one."""


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
    """From now on: what happens after a hit."""

    policy: HitPolicy


@dataclass(frozen=True, slots=True)
class Complete:
    """KVM_RUN with immediate_exit: pending work is completed, the guest is not entered."""


Action = Debug | SetReg | OnHit | Complete
_ACTIONS: dict[str, type[Action]] = {
    "debug": Debug,
    "set": SetReg,
    "hit": OnHit,
    "complete": Complete,
}
_NAMES = {kind: name for name, kind in _ACTIONS.items()}


@dataclass(frozen=True, slots=True)
class Program:
    """One experiment.

    Attributes:
        seed: what it was made of; with ``variant`` its name.
        variant: empty, or what shrinking made of it.
        mmu: whether the guest starts with its MMU on.
        el: the exception level that it starts at.
        code: its instructions, at ``layout.CODE``.
        vectors: instructions of the exception vectors, at ``layout.VECTORS``.
        x: X0 to X30 at the start.
        data: seed of what the data pages hold.
        sysregs: system registers at the start, beside those that all programs share.
        script: actions by the number of exits before them; 0: before the guest runs.
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
    exits: int = field(default=MAX_EXITS)

    @property
    def name(self) -> str:
        """What identifies it in traces."""
        return f"{self.seed}{self.variant and ':' + self.variant}"

    def actions(self, exits: int) -> tuple[Action, ...]:
        """What the host does after so many exits."""
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


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def loads(line: str) -> Program:
    """The program of one line.

    Raises:
        ProgramError: it is none.
    """
    try:
        values = json.loads(line)
        values["script"] = [
            [at, [_ACTIONS[a[0]](*map(_tuples, a[1:])) for a in actions]]
            for at, actions in values["script"]
        ]
        return Program(**{name: _tuples(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ProgramError(f"not a program of the differential: {error!r}") from None
