"""Straight-line code of random accesses, in a loop, and what it accesses: a model without a CPU.

Base registers are set to constants, so that the address of each access is known when the code is
made. Data pages are virtual: neighbours are not neighbours in physical memory, some are missing,
one can only be read. An access that faults is skipped by the exception vector.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fuzz_accesses import DATA_REGISTERS, FORMS, INDEX, LINE, READ, STATUS, WRITE, Encoded

from tests.debugger.assembled import CODE
from tests.debugger.mapped import PAGE, SCATTERED

__all__ = [
    "ATTRIBUTES", "DATA", "DEVICE_REGISTERS", "FOCI", "MAPPED", "POOL", "VECTOR_CODE", "Accessed",
    "Element", "Program", "element",
]  # fmt: skip

DATA = SCATTERED
_EL0, _READ_ONLY = 1 << 6, 1 << 7
#: Descriptor bits of the data pages that are mapped: the fourth is missing, the fifth read-only.
ATTRIBUTES = {n: _EL0 | (_READ_ONLY if n == 4 else 0) for n in (0, 1, 2, 4, 5, 7)}
MAPPED = tuple(ATTRIBUTES)
#: Addresses around which accesses and watches are: ends of pages, of lines, of what is mapped.
FOCI = tuple(
    DATA + n
    for n in (PAGE, 2 * PAGE, 3 * PAGE, 4 * PAGE, 5 * PAGE, 6 * PAGE, 7 * PAGE)
    + (0x40, 0x840, PAGE + 0x480, 2 * PAGE - LINE, PAGE, 2 * PAGE, 0x400)
)
#: Literals are loaded from here.
POOL = CODE + 0x4000
_POOL_BYTES = 64

_BASES = (20, 21, 22, 23)
_SP = 31
_LOOP = 28
_TAG = 0x5A
NOP, CLREX, UNMASK_IRQ = 0xD503201F, 0xD5033F5F, 0xD50342FF
#: Keep x0 in x10; PSCI's CPU_OFF; there is nothing after it.
_CPU_OFF = (0xAA0003EA, 0xD2800040, 0xF2B08000, 0xD4000002, 0x14000000)
#: The vectors of exceptions from EL1. Both use x29. After a synchronous one the guest continues
#: after the instruction; after an interrupt it masks interrupts, for the line stays high, and
#: forgets SPSR_EL1, where it could see that it is stepped.
VECTOR_CODE: dict[int, Sequence[int]] = {
    0x200: (0xD538403D, 0x910013BD, 0xD518403D, 0xD69F03E0),
    0x280: (0xD538401D, 0xB27903BD, 0xD518401D, 0xD280001D, 0xD69F03E0),
}
#: Registers of the UART without a side effect: IBRD, FBRD, IFLS, IMSC.
DEVICE = 0x0900_0000
DEVICE_REGISTERS = tuple(DEVICE + n for n in (0x24, 0x28, 0x34, 0x38))

_LITERALS = (  # LDR W, X; LDRSW; LDR S, D, Q: the word, the bytes
    (0x18000000, 4), (0x58000000, 8), (0x98000000, 4), (0x1C000000, 4), (0x5C000000, 8),
    (0x9C000000, 16),
)  # fmt: skip

Kind = Literal["access", "literal", "device", "exclusive", "arithmetic", "unmask"]


@dataclass(frozen=True)
class Element:
    """One thing that the code does: an access of a form, with the details that follow from a seed.

    ``target`` is the address of the first byte; ``base`` the base register, 31 for SP; ``tagged``:
    with a tag in the top byte of the address, which translation ignores.
    """

    kind: Kind
    form: str
    seed: int
    target: int = 0
    base: int = 20
    tagged: bool = False


@dataclass(frozen=True)
class Accessed:
    """What an instruction accesses each time it is executed.

    Attributes:
        pc: its address; of an exclusive sequence that of the load.
        store: of an exclusive sequence: the address of the store; else 0.
        loads: of an exclusive sequence: whether its load does not fault.
        once: it is one that is not tried again if it fails.
        form: as in the element.
        certain: False: it faults, wholly or in part.
        noticed: whether watchpoints notice it.
    """

    pc: int
    address: int
    size: int
    bits: int
    form: str
    certain: bool
    noticed: bool = True
    store: int = 0
    loads: bool = False
    once: bool = False

    def touches(self, address: int, length: int, bits: int) -> bool:
        """Whether a watch of these bytes and accesses is hit."""
        return (
            self.noticed
            and bool(self.bits & bits)
            and address < self.address + self.size
            and self.address < address + length
        )


@dataclass
class Program:
    """The code, from CODE on: ``loops`` rounds over the elements; then the vCPU is off."""

    words: list[int] = field(default_factory=list)
    accessed: list[Accessed] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # the address of each element's instruction
    inside: set[int] = field(default_factory=set)  # addresses within exclusive sequences
    loops: int = 1
    end: int = 0  # after the loop

    @classmethod
    def of(cls, elements: Sequence[Element], loops: int) -> Program:
        """The program of these elements."""
        program = cls(loops=loops)
        _Assembler(program).assemble(elements)
        return program

    @property
    def loads(self) -> set[int]:
        """The addresses of the loads of exclusive sequences."""
        return {each.pc for each in self.accessed if each.store}

    @property
    def faults(self) -> bool:
        """Whether an access faults."""
        return not all(each.certain for each in self.accessed)


class _Assembler:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.words = program.words
        #: The values of registers that are known.
        self.known: dict[int, int] = {}

    @property
    def pc(self) -> int:
        return CODE + 4 * len(self.words)

    def assemble(self, elements: Sequence[Element]) -> None:
        program, words = self.program, self.words
        words.append(0xD2800000 | program.loops << 5 | _LOOP)
        start = self.pc
        for each in elements:
            {
                "access": self._access,
                "literal": self._literal,
                "exclusive": self._exclusive,
                "arithmetic": self._arithmetic,
                "device": self._device,
                "unmask": self._unmask,
            }[each.kind](each)
        words.append(0xD1000400 | _LOOP << 5 | _LOOP)  # sub x28, x28, #1
        words.append(0xB5000000 | (start - self.pc >> 2 & 0x7FFFF) << 5 | _LOOP)
        program.end = self.pc
        words += _CPU_OFF

    def _set(self, register: int, value: int) -> None:
        """Have a constant in a register."""
        if self.known.get(register) == value:
            return
        self.known[register] = value
        halves = [(n, value >> 16 * n & 0xFFFF) for n in range(4) if value >> 16 * n & 0xFFFF]
        for place, (n, half) in enumerate(halves or [(0, 0)]):
            opcode = 0xF2800000 if place else 0xD2800000
            self.words.append(opcode | n << 21 | half << 5 | register)

    def _place(self) -> None:
        self.program.places.append(self.pc)

    def _point(self, each: Element, code: Encoded) -> tuple[int, int]:
        """Have the base register as it must be; returns its number and its value."""
        base = (each.target - code.offset) & (1 << 56) - 1
        if each.tagged:
            base |= _TAG << 56
        register = each.base
        if code.base_at == 0 and register == _SP:
            register = _BASES[0]
        if register == _SP:
            self._set(_BASES[0], base)
            self.words.append(0x91000000 | _BASES[0] << 5 | _SP)  # mov sp, x20
        else:
            self._set(register, base)
        return register, base

    def _access(self, each: Element) -> None:
        code = FORMS[each.form](random.Random(each.seed))
        register, base = self._point(each, code)
        if code.index is not None:
            self._set(INDEX, code.index)
        self._place()
        start = each.target & ~(code.block - 1)
        certain = _allowed(start, code.size, code.bits) and not start % code.aligned
        if register == _SP:
            certain = certain and not base & 15
        elif code.writeback:
            if certain:
                self.known[register] = base + code.writeback & (1 << 64) - 1
            else:
                self.known.pop(register, None)
        self.program.accessed.append(
            Accessed(self.pc, start, code.size, code.bits, each.form, certain, code.hits)
        )
        self.words.append(code.raw | register << code.base_at)
        if each.form == "load-exclusive":
            self.words.append(CLREX)

    def _literal(self, each: Element) -> None:
        rng = random.Random(each.seed)
        raw, size = rng.choice(_LITERALS)
        target = POOL + rng.randrange(_POOL_BYTES // 4) * 4
        self._place()
        offset = target - self.pc >> 2
        self.program.accessed.append(Accessed(self.pc, target, size, READ, "literal", True))
        self.words.append(raw | offset << 5 | rng.randrange(DATA_REGISTERS))

    def _exclusive(self, each: Element) -> None:
        """A load-exclusive and its store-exclusive, sometimes in a loop until that succeeds."""
        rng = random.Random(each.seed)
        size, pair, order = rng.randrange(4), rng.randrange(2), rng.randrange(2) << 15
        if pair:
            size |= 2
            fields, length = size << 30 | 1 << 21, 2 << size
        else:
            fields, length = size << 30 | 31 << 10, 1 << size
        register, base = self._point(each, Encoded(0, length, READ | WRITE))
        rt, rt2 = rng.sample(range(DATA_REGISTERS), 2)
        if pair:
            fields |= rt2 << 10
        loads = _allowed(each.target, length, READ) and not each.target % length
        if register == _SP:
            loads = loads and not base & 15
        certain = loads and _allowed(each.target, length, WRITE)
        self._place()
        load = self.pc
        self.words.append(0x08400000 | fields | order | 31 << 16 | register << 5 | rt)
        for _ in range(rng.randrange(3)):
            self.words.append(0x91000400 | rt << 5 | rt)  # add xt, xt, #1
        store = self.pc
        self.words.append(0x08000000 | fields | order | STATUS << 16 | register << 5 | rt)
        once = not certain or rng.random() < 0.4
        if not once:
            self.words.append(0x35000000 | (load - self.pc >> 2 & 0x7FFFF) << 5 | STATUS)
        self.program.inside.update(range(load, self.pc, 4))
        self.program.accessed.append(
            Accessed(
                load,
                each.target,
                length,
                READ | WRITE,
                "exclusive",
                certain,
                store=store,
                loads=loads,
                once=once,
            )
        )

    def _device(self, each: Element) -> None:
        """A load or store of 32 bits; a device has no others with a valid syndrome here."""
        rng = random.Random(each.seed)
        target, load = rng.choice(DEVICE_REGISTERS), rng.randrange(2)
        register = _BASES[0] if each.base == _SP else each.base
        self._set(register, DEVICE)
        self._place()
        bits = READ if load else WRITE
        self.program.accessed.append(Accessed(self.pc, target, 4, bits, "device", True))
        offset = (target - DEVICE) >> 2
        rt = rng.randrange(DATA_REGISTERS)
        self.words.append(0xB9000000 | load << 22 | offset << 10 | register << 5 | rt)

    def _unmask(self, each: Element) -> None:
        self._place()
        self.words.append(UNMASK_IRQ)

    def _arithmetic(self, each: Element) -> None:
        rng = random.Random(each.seed)
        rd, rn, rm = (rng.randrange(DATA_REGISTERS) for _ in range(3))
        self._place()
        self.words.append(
            rng.choice(
                (
                    0x91000000 | rng.randrange(64) << 10 | rn << 5 | rd,  # add
                    0xCA000000 | rm << 16 | rn << 5 | rd,  # eor
                    0xEB000000 | rm << 16 | rn << 5 | rd,  # subs
                    NOP,
                )
            )
        )


def _allowed(address: int, size: int, bits: int) -> bool:
    """Whether all of these bytes can be accessed so."""
    pages = range((address - DATA) // PAGE, (address + size - 1 - DATA) // PAGE + 1)
    return all(n in ATTRIBUTES and not (bits & WRITE and ATTRIBUTES[n] & _READ_ONLY) for n in pages)


def element(rng: random.Random, foci: Sequence[int]) -> Element:
    """One thing to do, at one of these addresses if it is an access."""
    kind: Kind = rng.choices(
        ("access", "literal", "device", "exclusive", "arithmetic", "unmask"),
        (16, 1.0, 0.9, 1.4, 3, 0.3),
    )[0]
    form = rng.choice(tuple(FORMS)) if kind == "access" else kind
    target = rng.choice(foci) + rng.choice((rng.randint(-40, 24), rng.randint(-4, 4) * 8, -1))
    if kind == "exclusive" or (form in _ALIGNED and rng.random() < 0.9):
        target &= -16 if rng.random() < 0.6 else -8
    base = rng.choice(_BASES)
    if rng.random() < 0.08:
        base = _SP
        target &= -16 if rng.random() < 0.8 else -1
    return Element(kind, form, rng.getrandbits(32), target, base, rng.random() < 0.06)


_ALIGNED = (
    "ordered", "ordered RCpc", "atomic", "swap", "compare and swap", "compare and swap pair",
    "load-exclusive",
)  # fmt: skip
