"""Every sort of memory access, as instructions that cases can watch.

The address is in x1. Stores store x2 to x5 or v2 to v5; ``fill`` gives these values in which every
byte is different. Loads load into the same registers. x4 gets the status of a store-exclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

#: The value of x2 to x5, and of both halves of v2 to v5.
FILL = 0x8877665544332211


@dataclass(frozen=True, slots=True)
class Access:
    """One instruction that accesses ``size`` bytes at x1 (+ ``offset``).

    Attributes:
        word: the instruction.
        size: in bytes.
        reads, writes: what it does to memory.
        before: instructions that must come before it (a load-exclusive).
        needs: an ID register, its field and the least value, where not every processor has it.
        aligned: the address must be a multiple of the size.
        registers: how many it loads or stores (LD1 of one register, by elements, counts as two).
    """

    word: int
    size: int
    reads: bool = False
    writes: bool = False
    offset: int = 0
    before: tuple[int, ...] = ()
    needs: tuple[str, str, int] | None = None
    aligned: bool = False
    registers: int = 1

    @property
    def wnr(self) -> tuple[bool, ...]:
        """The values that WnR may have when a watchpoint for loads and stores matches it."""
        return (True, False) if self.reads and self.writes else (self.writes,)


def fill(rig: Rig) -> None:
    """Set x2 to x5 and v2 to v5, which stores store."""
    for n in range(2, 6):
        rig.set_x(n, FILL)
        rig.set_core(f"v{n}", FILL << 64 | FILL)


def _single() -> dict[str, Access]:
    found: dict[str, Access] = {}
    for suffix, size in (("b", 1), ("h", 2), ("w", 4), ("", 8)):
        bits = size * 8
        found[f"str-{bits}"] = Access(asm.access(f"str{suffix}", 2, 1), size, writes=True)
        found[f"ldr-{bits}"] = Access(asm.access(f"ldr{suffix}", 2, 1), size, reads=True)
        found[f"sttr-{bits}"] = Access(
            asm.access(f"str{suffix}", 2, 1, 0, mode="unprivileged"), size, writes=True
        )
        found[f"ldtr-{bits}"] = Access(
            asm.access(f"ldr{suffix}", 2, 1, 0, mode="unprivileged"), size, reads=True
        )
    for name, size in (("ldrsb", 1), ("ldrsh", 2), ("ldrsw", 4)):
        found[name] = Access(asm.access(name, 2, 1), size, reads=True)
    for suffix, size in (("b", 1), ("h", 2), ("s", 4), ("d", 8), ("q", 16)):
        found[f"str-{suffix}"] = Access(asm.access(f"str_{suffix}", 2, 1), size, writes=True)
        found[f"ldr-{suffix}"] = Access(asm.access(f"ldr_{suffix}", 2, 1), size, reads=True)
    return found


def _indexed() -> dict[str, Access]:
    return {
        "str-pre": Access(asm.access("str", 2, 1, 16, mode="pre"), 8, writes=True, offset=16),
        "ldr-pre": Access(asm.access("ldr", 2, 1, -8, mode="pre"), 8, reads=True, offset=-8),
        "str-post": Access(asm.access("str", 2, 1, 16, mode="post"), 8, writes=True),
        "ldr-post": Access(asm.access("ldr", 2, 1, -8, mode="post"), 8, reads=True),
        "stur": Access(asm.access("str", 2, 1, -8, mode="unscaled"), 8, writes=True, offset=-8),
        "stp-pre": Access(asm.pair("stp", 2, 3, 1, -16, mode="pre"), 16, writes=True, offset=-16),
        "ldp-post": Access(asm.pair("ldp", 2, 3, 1, 16, mode="post"), 16, reads=True),
    }


def _pairs() -> dict[str, Access]:
    found: dict[str, Access] = {}
    for name, size in (
        ("stp", 16), ("ldp", 16), ("stpw", 8), ("ldpw", 8), ("ldpsw", 8), ("stnp", 16),
        ("ldnp", 16), ("stp_s", 8), ("ldp_s", 8), ("stp_d", 16), ("ldp_d", 16), ("stp_q", 32),
        ("ldp_q", 32),
    ):  # fmt: skip
        writes = name.startswith("st")
        found[name.replace("_", "-")] = Access(
            asm.pair(name, 2, 3, 1), size, writes=writes, reads=not writes, registers=2
        )
    return found


def _exclusives() -> dict[str, Access]:
    found: dict[str, Access] = {}
    for size in (1, 2, 4, 8):
        bits = size * 8
        load = asm.load_exclusive(5, 1, size=size)
        for name, flag in (("", False), ("a", True)):
            word = asm.load_exclusive(2, 1, size=size, acquire=flag)
            found[f"ld{name}xr-{bits}"] = Access(word, size, reads=True, aligned=True)
        for name, flag in (("", False), ("l", True)):
            word = asm.store_exclusive(4, 2, 1, size=size, release=flag)
            found[f"st{name}xr-{bits}"] = Access(
                word, size, writes=True, before=(load,), aligned=True
            )
        found[f"ldar-{bits}"] = Access(
            asm.ordered_load(2, 1, size=size), size, reads=True, aligned=True
        )
        found[f"stlr-{bits}"] = Access(
            asm.ordered_store(2, 1, size=size), size, writes=True, aligned=True
        )
    for size in (4, 8):
        load = asm.load_pair_exclusive(5, 6, 1, size=size)
        found[f"ldxp-{size * 8}"] = Access(
            asm.load_pair_exclusive(2, 3, 1, size=size), 2 * size, reads=True, aligned=True
        )
        found[f"stxp-{size * 8}"] = Access(
            asm.store_pair_exclusive(4, 2, 3, 1, size=size),
            2 * size,
            writes=True,
            before=(load,),
            aligned=True,
        )
    return found


_LSE = ("ID_AA64ISAR0_EL1", "Atomic", 2)


def _atomics() -> dict[str, Access]:
    def both(word: int, size: int) -> Access:
        return Access(word, size, reads=True, writes=True, needs=_LSE, aligned=True)

    found = {
        f"{name}-{size * 8}": both(asm.atomic(name, 2, 6, 1, size=size), size)
        for name in ("ldadd", "swp")
        for size in (1, 2, 4, 8)
    }
    # It compares with x6, which is zero as memory is, so it stores.
    found |= {f"cas-{size * 8}": both(asm.cas(6, 2, 1, size=size), size) for size in (1, 2, 4, 8)}
    found |= {f"casp-{size * 8}": both(asm.casp(6, 2, 1, size=size), 2 * size) for size in (4, 8)}
    return found


def _structures() -> dict[str, Access]:
    found: dict[str, Access] = {}
    for n in (1, 2, 4):
        for op in ("st", "ld"):
            access = Access(
                asm.structure(f"{op}1", 2, 1, registers=n),
                16 * n,
                writes=op == "st",
                reads=op == "ld",
                registers=max(n, 2),
            )
            found[f"{op}1-{n}"] = access
    found |= {
        f"{op}{n}": Access(
            asm.structure(f"{op}{n}", 2, 1),
            16 * n,
            writes=op == "st",
            reads=op == "ld",
            registers=n,
        )
        for n in (2, 3, 4)
        for op in ("st", "ld")
    }
    return found


#: Every sort of access, by a name that can be part of a case's name.
ACCESSES: dict[str, Access] = {
    name: access
    for group in (_single, _indexed, _pairs, _exclusives, _atomics, _structures)
    for name, access in group().items()
}


def choose(condition: Callable[[Access], bool]) -> dict[str, Access]:
    """The accesses for which a condition holds."""
    return {name: access for name, access in ACCESSES.items() if condition(access)}
